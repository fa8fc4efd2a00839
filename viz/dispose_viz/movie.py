"""Images as a film: MP4 that every browser plays, GIF for where films are not taken, and a page with a slider."""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
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
    """Write images as a film, by the ending of the name: ``.gif``, ``.mp4`` or ``.html`` (a slider, no network).

    The file is whole or not there; what was there before stays when something fails. Returns the path.

    Raises:
        InputError: another ending, no folder to write into, no picture, or pictures of different sizes.
        OutputError: the file cannot be written.
    """
    writers = {".gif": write_gif, ".mp4": write_mp4, ".html": write_html}
    if path.suffix.lower() not in writers:
        raise InputError(f"{path}: a film ends in {', '.join(writers)}, not in '{path.suffix}'.")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent} to write the film into.")
    return writers[path.suffix.lower()](path, images, rate_hz)


def write_mp4(path: Path, frames: Iterable[RgbImage], rate_hz: float) -> Path:
    """Write RGB images of one size as an MP4 (VP9), whole or not at all; returns the path.

    An odd width or height gets one more column or row of the border's pixels: the codec wants even numbers.

    Raises:
        InputError: there is no image, one has another size than the first, or the rate is not positive.
        OutputError: the file cannot be written, or this OpenCV cannot encode VP9.
    """
    _check_rate(path, rate_hz)
    images = _same_size(path, frames)
    first = next(images)
    height, width = (n + n % 2 for n in first.shape[:2])
    with replacing_path(path) as temporary:
        code = cv2.VideoWriter.fourcc(*CODEC)
        writer = cv2.VideoWriter(str(temporary), cv2.CAP_FFMPEG, code, rate_hz, (width, height))
        if not writer.isOpened():
            raise OutputError(f"{path}: this OpenCV cannot encode VP9 films; write a GIF instead.")
        try:
            writer.write(_even(first))
            for image in images:
                writer.write(_even(image))
        finally:
            writer.release()
    return path


def write_gif(path: Path, frames: Iterable[RgbImage], rate_hz: float) -> Path:
    """Write RGB images of one size as an endless GIF, whole or not at all; returns the path.

    All images share one set of colours, taken from a few of them from first to last, so what does not move does not
    flicker, and people who are coloured only in the end are.

    Raises:
        InputError: there is no image, one has another size than the first, or the rate is not positive.
        OutputError: the file cannot be written.
    """
    _check_rate(path, rate_hz)
    images = [Image.fromarray(image) for image in _same_size(path, frames)]
    palette = _palette(images)
    paletted = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    with replacing_path(path) as temporary:
        paletted[0].save(
            temporary, format="GIF", save_all=True, append_images=paletted[1:], duration=round(1000 / rate_hz), loop=0
        )
    return path


def write_html(path: Path, frames: Iterable[RgbImage], rate_hz: float) -> Path:
    """Write RGB images of one size as one page with a slider and a play button; it needs no network. Returns the path.

    Raises:
        InputError: there is no image, one has another size than the first, or the rate is not positive.
        OutputError: the file cannot be written.
    """
    _check_rate(path, rate_hz)
    kept: list[str] = []
    order: list[int] = []
    last: RgbImage | None = None
    for image in _same_size(path, frames):
        if image is not last:
            # At most 128 colours: a quarter of the size, and nobody sees it.
            buffer = BytesIO()
            Image.fromarray(image).quantize(128, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
            kept.append(base64.b64encode(buffer.getvalue()).decode())
        order.append(len(kept) - 1)
        last = image
    with replacing(path) as file:
        file.write(PAGE % (len(order) - 1, json.dumps(kept), json.dumps(order), round(1000 / rate_hz)))
    return path


def _palette(images: Sequence[Image.Image]) -> Image.Image:
    """The colours of a few images, the first and the last among them."""
    chosen = sorted({round(place) for place in np.linspace(0, len(images) - 1, PALETTE_IMAGES)})
    width, height = images[0].size
    together = Image.new("RGB", (width, height * len(chosen)))
    for row, place in enumerate(chosen):
        together.paste(images[place], (0, height * row))
    return together.quantize(GIF_COLOURS)


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


def _even(image: RgbImage) -> UInt8[np.ndarray, "height2 width2 3"]:
    """The image as OpenCV wants it: BGR, even width and height."""
    down, right = (n % 2 for n in image.shape[:2])
    grown = np.pad(image, ((0, down), (0, right), (0, 0)), mode="edge")
    return cv2.cvtColor(grown, cv2.COLOR_RGB2BGR)


def _check_rate(path: Path, rate_hz: float) -> None:
    if not rate_hz > 0:
        raise InputError(f"{path}: a film needs a positive number of pictures per second, got {rate_hz}.")
