"""`dispose download`: fetch what may be fetched of a data set, and say how to obtain the rest."""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from dispose.datasets.download import catalog
from dispose.datasets.download.catalog import Listing
from dispose.datasets.download.fetch import Item, fetch
from dispose.errors import DownloadError, InputError
from dispose.options import PathOption, require_folder

SetName = Literal[
    "panoptic", "shelf", "campus", "mm_or", "mvor", "human36m", "humaneva", "mpi_inf_3dhp", "released_weights",
    "released_labels",
]  # fmt: skip


@dataclass(frozen=True)
class DownloadCommand:
    """Show a data set's licence, fetch what may be fetched of it, and print exact instructions for the rest.

    Nothing is fetched without --accept-licence. A fetch that was interrupted goes on where it stopped.
    """

    name: Annotated[SetName, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """A data set (panoptic, shelf, campus, mm_or, mvor, human36m, humaneva, mpi_inf_3dhp), released_weights or
    released_labels."""

    out: PathOption = None
    """The folder for it (default: downloads/NAME)."""

    accept_licence: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """You have read the licence that is shown, and keep to it."""

    sequences: tuple[str, ...] = ()
    """Panoptic: only these recordings (default: the thirteen of the literature)."""

    nodes: tuple[int, ...] = ()
    """Panoptic: also the videos of these high-definition cameras, such as 3 6 12 13 23 (default: no videos)."""

    def run(self) -> int:
        """Show, fetch, instruct."""
        listing = self.listing()
        folder = require_folder(self.out or Path("downloads") / self.name)
        print(introduction(listing), flush=True)
        if listing.items and not self.accept_licence:
            print(f"\nthen:\n{instructions(listing, folder)}", flush=True)
            raise InputError(f"nothing was fetched: read the licence of {listing.title}, then add --accept-licence.")
        failures = fetch_all(listing.items, folder)
        print(f"\nwhat remains to be done:\n{instructions(listing, folder)}")
        if failures:
            others = f", and {len(failures) - 1} more failed" if len(failures) > 1 else ""
            raise DownloadError(f"{failures[0]}{others}" if others else str(failures[0]))
        return 0

    def listing(self) -> Listing:
        """The entry of the catalogue, narrowed to what was asked for."""
        if self.name == "panoptic":
            unknown = set(self.nodes) - set(range(31))
            if unknown:
                raise InputError(f"--nodes: there is no camera {min(unknown)}; they are 0 to 30.")
            odd = [name for name in self.sequences if not re.fullmatch(r"\w+", name)]
            if odd:
                raise InputError(f"--sequences: {odd[0]!r} is no name of a recording, such as 160906_band1.")
            return catalog.panoptic(self.sequences or catalog.PANOPTIC_SEQUENCES, self.nodes)
        if self.sequences or self.nodes:
            raise InputError(f"--sequences and --nodes are for panoptic, not for {self.name}.")
        return next(listing for listing in catalog.LISTINGS if listing.name == self.name)


def introduction(listing: Listing) -> str:
    """Licence first, then the files."""
    lines = [listing.title, f"  licence   {listing.licence}", f"  cite      {listing.citation}"]
    if not listing.items:
        size = f" ({listing.extent})" if listing.extent else ""
        lines.append(f"  files     none can be fetched by this command{size}")
    else:
        count = len(listing.items)
        lines.append(f"  files     {count}, {listing.extent}; no checksum is published for {count} of them")
        lines += [f"            {item.url}" for item in listing.items[:8]]
        lines += [f"            and {count - 8} more of the same kind"] if count > 8 else []
    return "\n".join(lines)


def instructions(listing: Listing, folder: Path) -> str:
    """The steps, with the folder in its place."""
    return "\n".join(f"  - {step.replace('{folder}', str(folder))}" for step in listing.steps)


def fetch_all(items: tuple[Item, ...], folder: Path) -> list[DownloadError]:
    """Fetch one after the other; a file that cannot be had does not keep the others from being fetched."""
    failures = []
    for item in items:
        with tqdm(unit="B", unit_scale=True, unit_divisor=1000, desc=item.path, mininterval=0.5) as bar:
            try:
                fetch(item, folder, progress=partial(show, bar))
            except DownloadError as error:
                failures.append(error)
                continue
        print(f"have {folder / item.path}", flush=True)
    return failures


def show(bar: tqdm, done: int, total: int | None) -> None:
    """Move a bar; bytes that were there before count as done."""
    bar.total = total
    bar.update(done - bar.n)
