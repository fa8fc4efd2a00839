"""``python -m dispose_viz.lifting FOLDER``: the figure of an image, or the film of a video, that lie there lifted.

`dispose predict --model` calls it: the library itself draws nothing.
"""

import argparse
import sys
from itertools import islice
from pathlib import Path

from dispose.errors import DisposeError
from dispose.formats.images.series import read_image
from dispose.formats.lifted import IMAGE_FILE, VIDEO_FILE, read_lifted
from dispose.inference.one_camera import open_pictures
from dispose_viz.lifting.page import draw_page, film_images
from dispose_viz.movie import write_film
from dispose_viz.style import save_figure

FILM_FRAMES = 40
RATE_HZ = 8.0


def draw_image(folder: Path) -> tuple[Path, ...]:
    """``lifted.png`` and ``lifted.svg``."""
    header, frames = read_lifted(folder / IMAGE_FILE)
    save_figure(draw_page(header, next(frames), read_image(Path(header.source))), folder / "lifted")
    return folder / "lifted.png", folder / "lifted.svg"


def draw_video(folder: Path) -> tuple[Path, ...]:
    """``lifted.gif``: up to `FILM_FRAMES` frames, evenly chosen."""
    count = sum(1 for _ in read_lifted(folder / VIDEO_FILE)[1])
    header, frames = read_lifted(folder / VIDEO_FILE)
    video = open_pictures(Path(header.source))
    chosen = list(islice(frames, 0, None, max(1, -(-count // FILM_FRAMES))))
    pairs = [(frame, video.read(frame.number)) for frame in chosen]
    return (write_film(folder / "lifted.gif", film_images(header, pairs), RATE_HZ),)


def main() -> int:
    """Draw what is there; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    try:
        written = draw_image(folder) if (folder / IMAGE_FILE).is_file() else draw_video(folder)
    except DisposeError as error:
        print(f"dispose: {error}", file=sys.stderr)
        return 2
    for path in written:
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
