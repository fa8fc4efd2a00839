"""Pictures to step through, and one that keeps up with a process: live in JupyterLab and Voilà, a PNG everywhere else.

A cell that ends in a `Shown` has two outputs: the ipywidget, which a live front end takes, and the PNG that it shows,
which executed notebooks and HTML pages without a kernel keep. Every control is reached with Tab and moved with the
arrow keys. Nothing here needs a running kernel.
"""

import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import ipywidgets
from IPython.display import display
from matplotlib.figure import Figure

from dispose.errors import DisposeError, InputError
from dispose_viz.style import lay_out

PLAY_INTERVAL_MS = 200
"""Time between two pictures while the play button runs."""

_UNCUT = {"description_width": "initial"}

EVERY_S = 4.0


@dataclass(frozen=True, eq=False)
class Shown:
    """A control, the picture that follows it, a caption of one line, and the widget in which they are laid out."""

    control: ipywidgets.ValueWidget
    image: ipywidgets.Image
    caption: ipywidgets.Label
    widget: ipywidgets.VBox

    @property
    def png(self) -> bytes:
        """The picture that is shown now."""
        return self.image.value

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """The live view, and the picture of the present state for readers without a kernel."""
        live = self.widget._repr_mimebundle_() or {}
        return {**live, "text/plain": self.caption.value, "image/png": b64encode(self.png).decode()}


def still_images_of(figures: Iterable[Figure]) -> tuple[bytes, ...]:
    """Matplotlib figures as PNG, one after the other: a generator of figures is never held as a whole."""
    images = []
    for figure in figures:
        buffer = BytesIO()
        lay_out(figure).savefig(buffer, format="png", facecolor=figure.get_facecolor())
        images.append(buffer.getvalue())
    return tuple(images)


def scrubber(images: Sequence[bytes], labels: Sequence[str], *, description: str = "step") -> Shown:
    """A slider, with a play button, over pictures that are ready: a step only hands over one of them.

    Args:
        images: PNG, one per step (`still_images_of`).
        labels: the words under each image, with units.
        description: what the slider moves.
    """
    if not images:
        raise InputError("a scrubber needs at least one picture, got none")
    if len(labels) != len(images):
        raise InputError(f"a scrubber needs one label per picture: {len(labels)} labels, {len(images)} pictures")
    steps = {"value": 0, "min": 0, "max": max(len(images) - 1, 1), "disabled": len(images) == 1}
    slider = ipywidgets.IntSlider(**steps, description=description, continuous_update=True, style=_UNCUT)
    slider.layout.width = "min(32em, 100%)"
    play = ipywidgets.Play(**steps, interval=PLAY_INTERVAL_MS, show_repeat=False)
    ipywidgets.jslink((play, "value"), (slider, "value"))
    states = list(zip(images, labels, strict=True))
    return _lay_out(slider, [play, slider], lambda step: states[int(step)])


def picker(draw: Callable[[int], Figure], names: Sequence[str], *, description: str) -> Shown:
    """A list to choose from; each choice is drawn when it is first made, and kept.

    Args:
        draw: the figure of a choice, by its place in `names`.
        names: what the reader chooses from.
        description: what is chosen, e.g. "view".
    """
    if not names:
        raise InputError(f"there is no {description} to pick")
    options = [(name, place) for place, name in enumerate(names)]
    control = ipywidgets.Dropdown(options=options, value=0, description=description, style=_UNCUT)
    return _drawn_when_reached(control, draw)


def threshold(draw: Callable[[float], Figure], values: Sequence[float], value: float, *, description: str) -> Shown:
    """A slider over values; each is computed and drawn live when it is first reached, and kept.

    Args:
        draw: the figure of a value.
        values: where the slider can stand, in its order.
        value: where it starts, one of `values`.
        description: what the slider moves, with its unit.
    """
    if not values:
        raise InputError(f"the slider for {description} has no values")
    if value not in values:
        span = f"{min(values):g} to {max(values):g}"
        raise InputError(f"{description} cannot start at {value:g}: it is not among its {len(values)} values, {span}")
    options = [(f"{number:g}", number) for number in values]
    control = ipywidgets.SelectionSlider(
        options=options, value=value, description=description, continuous_update=True, style=_UNCUT
    )
    control.layout.width = "min(32em, 100%)"
    return _drawn_when_reached(control, draw)


def _drawn_when_reached(
    control: ipywidgets.Dropdown | ipywidgets.SelectionSlider, draw: Callable[[Any], Figure]
) -> Shown:
    """Every figure is drawn when the control first comes to it, and kept."""
    drawn = cache(lambda value: still_images_of([draw(value)])[0])
    return _lay_out(control, [control], lambda value: (drawn(value), f"{control.description}: {control.label}"))


def _lay_out(
    control: ipywidgets.ValueWidget, row: Sequence[ipywidgets.Widget], present: Callable[[Any], tuple[bytes, str]]
) -> Shown:
    """Lay out the row of controls over picture and caption, and let these follow the control."""
    png, words = present(control.value)
    image = ipywidgets.Image(value=png, format="png")
    image.layout.max_width = "100%"
    caption = ipywidgets.Label(words)

    def update(_: object) -> None:
        try:
            image.value, caption.value = present(control.value)
        except DisposeError as error:
            # Raised here it would end in a log that nobody reads; the last good picture stays.
            caption.value = str(error)

    control.observe(update, names="value")
    return Shown(control, image, caption, ipywidgets.VBox([ipywidgets.HBox(list(row)), image, caption]))


def follow(command: Sequence[str], log: Path, draw: Callable[[], Figure]) -> float:
    """Run a command to its end and show a picture of how far it is, drawn anew every few seconds; returns seconds.

    What the command prints goes into `log`. Interrupting the cell ends the command.

    Raises:
        DisposeError: the command failed; the message has its last lines.
    """
    started = time.perf_counter()
    shown = display(draw(), display_id=True)
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT) as process:
        try:
            while process.poll() is None:
                time.sleep(min(EVERY_S, 0.2 + (time.perf_counter() - started) / 10))
                if shown is not None:
                    shown.update(draw())
        finally:
            if process.poll() is None:
                process.terminate()
    if process.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-10:]
        raise DisposeError("\n".join([f"{' '.join(command)} ended with status {process.returncode}:", *lines]))
    if shown is not None:
        shown.update(draw())
    return time.perf_counter() - started
