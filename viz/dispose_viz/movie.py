"""Images as a film: MP4 that every browser plays, GIF for where films are not taken, and a page with a slider."""

import base64
import json
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from dispose.errors import InputError, OutputError
from dispose.formats.files import replacing, replacing_path

RgbImage = UInt8[np.ndarray, "height width 3"]

# OpenCV's wheels bring no encoder for H.264; VP9 they do, and browsers play it, which they do not do with `mp4v`.
CODEC = "vp09"
GIF_COLOURS = 192
PALETTE_IMAGES = 5
"""So many images of a film say which colours its GIF has."""

PAGE = """<!doctype html><meta charset="utf-8"><title>From noise to the match</title>
<body style="font-family:sans-serif;margin:1em;text-align:center"><img id="film" style="max-width:100%%" alt="">
<p><button id="play" aria-label="play or pause">▶</button>
<input id="step" type="range" min="0" max="%d" value="0" style="width:70%%" aria-label="step"></p><script>
const images = %s, order = %s, film = document.getElementById("film"), step = document.getElementById("step");
const show = () => { film.src = "data:image/png;base64," + images[order[step.value]]; };
let clock = null;
const stop = () => { clearInterval(clock); clock = null; };
step.oninput = () => { stop(); show(); };
document.getElementById("play").onclick = () => {
  if (clock) { stop(); return; }
  if (+step.value === +step.max) step.value = 0;
  clock = setInterval(() => { if (+step.value === +step.max) stop(); else { step.value++; show(); } }, %d);
};
show();
</script></body>
"""


def write_film(path: Path, images: Iterable[RgbImage], rate_hz: float = 15.0) -> Path:
    """Write RGB images of one size as a film, by the ending of the name: ``.gif``, ``.mp4`` or ``.html``.

    A GIF is endless, an MP4 is VP9, a page has a slider and a play button and needs no network. The file is whole or
    not there; what was there before stays when something fails. Returns the path.

    Raises:
        InputError: another ending, no folder to write into, no picture, pictures of different sizes, or a rate that is
            not positive.
        OutputError: the file cannot be written, or this OpenCV cannot encode VP9.
    """
    writers = {".gif": _write_gif, ".mp4": _write_mp4, ".html": _write_html}
    if path.suffix.lower() not in writers:
        raise InputError(f"{path}: a film ends in {', '.join(writers)}, not in '{path.suffix}'.")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent} to write the film into.")
    if not rate_hz > 0:
        raise InputError(f"{path}: a film needs a positive number of pictures per second, got {rate_hz}.")
    writers[path.suffix.lower()](path, _same_size(path, images), rate_hz)
    return path


def png_of(image: UInt8[np.ndarray, "height width chans"], *, level: int = 9) -> bytes:
    """An RGB or RGBA image as a PNG file without transparency, compressed as much (1 to 9) as it has far to go."""
    buffer = BytesIO()
    Image.fromarray(image).convert("RGB").save(buffer, format="PNG", compress_level=level)
    return buffer.getvalue()


def _write_mp4(path: Path, images: Iterator[RgbImage], rate_hz: float) -> None:
    """An odd width or height gets one more column or row of the border's pixels: the codec wants even numbers."""
    first = next(images)
    down, right = (n % 2 for n in first.shape[:2])
    size = first.shape[1] + right, first.shape[0] + down
    with replacing_path(path) as temporary:
        code = cv2.VideoWriter.fourcc(*CODEC)
        writer = cv2.VideoWriter(str(temporary), cv2.CAP_FFMPEG, code, rate_hz, size)
        if not writer.isOpened():
            raise OutputError(f"{path}: this OpenCV cannot encode VP9 films; write a GIF instead.")
        try:
            for image in chain([first], images):
                padded = np.pad(image, ((0, down), (0, right), (0, 0)), mode="edge")
                writer.write(cv2.cvtColor(padded, cv2.COLOR_RGB2BGR))
        finally:
            writer.release()


def _write_gif(path: Path, images: Iterator[RgbImage], rate_hz: float) -> None:
    """All images share one set of colours, so what does not move does not flicker.

    It is taken from a few of them from first to last: people who are coloured only in the end are.
    """
    drawn = [Image.fromarray(image) for image in images]
    chosen = sorted({round(place) for place in np.linspace(0, len(drawn) - 1, PALETTE_IMAGES)})
    together = Image.fromarray(np.concatenate([np.asarray(drawn[place]) for place in chosen]))
    palette = together.quantize(GIF_COLOURS)
    first, *others = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in drawn]
    with replacing_path(path) as temporary:
        first.save(temporary, format="GIF", save_all=True, append_images=others, duration=round(1000 / rate_hz), loop=0)


def _write_html(path: Path, images: Iterator[RgbImage], rate_hz: float) -> None:
    kept: list[str] = []
    order: list[int] = []
    last: RgbImage | None = None
    for image in images:
        if image is not last:
            # At most 128 colours: a quarter of the size, and nobody sees it.
            buffer = BytesIO()
            Image.fromarray(image).quantize(128, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
            kept.append(base64.b64encode(buffer.getvalue()).decode())
        order.append(len(kept) - 1)
        last = image
    with replacing(path) as file:
        file.write(PAGE % (len(order) - 1, json.dumps(kept), json.dumps(order), round(1000 / rate_hz)))


def _same_size(path: Path, frames: Iterable[RgbImage]) -> Iterator[RgbImage]:
    """The images one by one, as long as they have the size of the first."""
    shape = None
    for number, image in enumerate(frames):
        shape = image.shape if shape is None else shape
        if image.shape != shape:
            raise InputError(
                f"{path}: picture {number} of the film has {image.shape[1]}x{image.shape[0]} pixels, "
                f"the first {shape[1]}x{shape[0]}."
            )
        yield image
    if shape is None:
        raise InputError(f"{path}: a film needs at least one picture.")
