"""Before and after adapting to a room: agreement of groups by the number of cameras."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from dispose_viz.style import dress_chart, person_color, theme_of


def draw_before_after(axes: Axes, before: Mapping[int, float], after: Mapping[int, float]) -> Axes:
    """Pair F1 in percent by the number of cameras, a dot before and a dot after."""
    place = list(range(len(before)))
    marks = (("before", before, -0.1, theme_of(axes).muted), ("after", after, 0.1, person_color(0)))
    for label, found, aside, color in marks:
        axes.plot([at + aside for at in place], [found[views] for views in before], "o", color=color, label=label)
    lowest = min([*before.values(), *after.values()])
    axes.set_ylim(lowest - 0.2 * (100.0 - lowest) - 0.1, 100.05)
    axes.set_xlim(-0.5, len(place) - 0.5)
    axes.set_xticks(place, [str(views) for views in before])
    axes.set_xlabel("cameras")
    axes.set_ylabel("pair F1, %")
    dress_chart(axes)
    axes.legend(frameon=False)
    return axes
