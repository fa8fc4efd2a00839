"""`dispose notebook`: run the project's notebooks without a browser, or list them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from dispose.cli.notebook_page import title_of
from dispose.cli.notebook_run import free_folder, notebook_names, notebook_path, parameters_of, run_notebook
from dispose.cli.options import PathOption


@dataclass(frozen=True)
class Run:
    """Execute one notebook and write it, as .ipynb and as HTML that opens offline, into a folder of its own."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """Which notebook, such as 00_start_here (`dispose notebook list` names all)."""

    parameter: Annotated[
        tyro.conf.UseAppendAction[tuple[tuple[str, str], ...]], tyro.conf.arg(aliases=("-p",), metavar="KEY VALUE")
    ] = ()
    """A value for the notebook's parameters cell; repeat the option for several."""

    out: PathOption = None
    """Folder of the run, which must not exist yet (default: the next free runs/NAME, runs/NAME-2, …)."""

    def run(self) -> int:
        """Run it; the status is 0, or the caller sees an error."""
        path = notebook_path(self.name)
        folder = free_folder(Path("runs") / path.stem) if self.out is None else self.out
        done = run_notebook(path, self.parameter, folder)
        print(f"executed notebook  {done.notebook}\npage, offline      {done.page}")
        for extra in sorted(done.folder.iterdir()):
            if extra not in (done.notebook, done.page):
                print(f"                   {extra}")
        return 0


@dataclass(frozen=True)
class List:
    """Name all notebooks with their parameters."""

    def run(self) -> int:
        """Print them."""
        import nbformat

        for name in notebook_names():
            path = notebook_path(name)
            print(f"{name}  {title_of(nbformat.read(path, as_version=4))}")
            for p in parameters_of(path):
                print(f"    -p {p.name} {p.default}  ({p.kind}) {p.help}".rstrip())
        return 0


@dataclass(frozen=True)
class Notebook:
    """Run a notebook headlessly, with checked parameters, or list the notebooks."""

    command: tyro.conf.OmitSubcommandPrefixes[
        Annotated[Run, tyro.conf.subcommand("run")] | Annotated[List, tyro.conf.subcommand("list")]
    ]

    def run(self) -> int:
        """Do what was asked."""
        return self.command.run()
