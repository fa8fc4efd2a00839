"""Before and after adapting to a room: agreement of groups by the number of cameras."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from dispose_viz.style import dress_chart, person_color, theme_of


def draw_before_after(axes: Axes, before: Mapping[int, float], after: Mapping[int, float]) -> Axes:
    """Pair F1 in percent by the number of cameras, two bars each."""
    place = list(range(len(before)))
    axes.bar([at - 0.2 for at in place], list(before.values()), 0.36, color=theme_of(axes).muted, label="before")
    axes.bar([at + 0.2 for at in place], [after[views] for views in before], 0.36, color=person_color(0), label="after")
    lowest = min([*before.values(), *after.values()])
    axes.set_ylim(max(lowest - 0.3 * (100.5 - lowest), 0.0), 100.5)
    axes.set_xticks(place, [str(views) for views in before])
    axes.set_xlabel("cameras")
    axes.set_ylabel("pair F1, %")
    dress_chart(axes)
    axes.legend(frameon=False)
    return axes
