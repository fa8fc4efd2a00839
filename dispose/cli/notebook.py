"""`dispose notebook`: run the project's notebooks without a browser, once or in sweeps, or list them."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from dispose.formats.folders import lock_folder
from dispose.options import Count, PathOption, Positive, require_folder
from dispose_workbench.notebooks.page import export_figures, title_of
from dispose_workbench.notebooks.parameters import parameters_of
from dispose_workbench.notebooks.run import free_folder, notebook_names, notebook_path, run_notebook
from dispose_workbench.notebooks.sweep import (
    SweepOutcome,
    claim_sweep,
    complete_table,
    earlier_outcomes,
    on_cluster,
    plan,
    side_by_side,
    sweep,
    text_table,
    write_summary,
)

NameArgument = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
Values = tyro.conf.UseAppendAction[tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class RunNotebook:
    """Execute one notebook and write it, as .ipynb and as HTML that opens offline, into a folder of its own."""

    name: NameArgument
    """Which notebook, such as 00_start_here (`dispose notebook list` names all), or a file of your own."""

    parameter: Annotated[Values, tyro.conf.arg(aliases=("-p",), metavar="KEY VALUE")] = ()
    """A value for the notebook's parameters cell; repeat the option for several."""

    out: PathOption = None
    """Folder of the run, which must not exist yet (default: the next free runs/NAME, runs/NAME-2, …)."""

    def run(self) -> int:
        """Run it; the status is 0, or the caller sees an error."""
        path = notebook_path(self.name)
        folder = free_folder(Path("runs") / path.stem) if self.out is None else self.out
        done = run_notebook(path, self.parameter, folder, finish=export_figures)
        print(f"executed notebook  {done.notebook}\npage, offline      {done.page}")
        for extra in sorted(done.folder.iterdir()):
            if extra not in (done.notebook, done.page):
                print(f"                   {extra}")
        return 0


@dataclass(frozen=True)
class SweepNotebook:
    """Run one notebook with every combination of some values, several runs side by side, and compare them.

    Everything is checked before anything runs. Every run has a folder of its own, named by its values, in the folder
    of the sweep; a table of all lies there as summary.json and summary.csv. A run that fails does not stop the others.
    The same command again goes on where it stopped, and may add values.

        $ dispose notebook sweep evaluate -p count 24,48 -p seed 1,2 --jobs 2
    """

    name: NameArgument
    """Which notebook (`dispose notebook list` names all), or a file of your own."""

    parameter: Annotated[Values, tyro.conf.arg(aliases=("-p",), metavar="KEY VALUES")] = ()
    """Values for one parameter, with commas between them; repeat the option for several."""

    out: PathOption = None
    """Folder of the sweep (default: runs/sweep_NAME)."""

    jobs: Count = 2
    """Runs at a time on this machine."""

    cluster: Annotated[Literal["slurm", "local"] | None, tyro.conf.arg(help_behavior_hint="")] = None
    """Hand the runs to a cluster instead (extra `cluster`); `local` tries the same without one."""

    hours: Positive = 4.0
    """Longest time of one run on the cluster."""

    def run(self) -> int:
        """Run what is missing, print and write the table; 1 if a run failed."""
        path = notebook_path(self.name)
        folder = require_folder(self.out or Path("runs") / f"sweep_{path.stem}")
        runs = plan(path, self.parameter)
        if self.cluster is None:
            launch = partial(side_by_side, jobs=self.jobs)
        else:
            launch = partial(on_cluster, cluster=self.cluster, hours=self.hours)
        outcomes: list[SweepOutcome] = []
        with lock_folder(folder.resolve()):
            claim_sweep(folder, path)
            before = earlier_outcomes(folder, runs)
            ended = sweep(path, runs, folder, launch)
            print(f"{len(runs)} runs of {path.stem} in {folder}", flush=True)
            try:
                for outcome in ended:
                    outcomes.append(outcome)
                    said = f"failed: {outcome.reason}" if outcome.message else f"{outcome.seconds:.0f} s"
                    print(f"{len(outcomes)} of {len(runs)}  {outcome.name}  {said}", flush=True)
            finally:
                table = [*before, *complete_table(runs, outcomes)]
                write_summary(folder, path, table)
                if len(outcomes) < len(runs):
                    print(f"\n{len(outcomes)} of {len(runs)} runs have ended; the same command goes on with the others")
        print(f"\n{text_table(table)}\n\nwrote {folder / 'summary.csv'} and summary.json")
        return 1 if any(outcome.message for outcome in outcomes) else 0


@dataclass(frozen=True)
class ListNotebooks:
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
class NotebookCommand:
    """Run a notebook headlessly, once or with many values, with checked parameters, or list the notebooks."""

    command: tyro.conf.OmitSubcommandPrefixes[
        Annotated[RunNotebook, tyro.conf.subcommand("run")]
        | Annotated[SweepNotebook, tyro.conf.subcommand("sweep")]
        | Annotated[ListNotebooks, tyro.conf.subcommand("list")]
    ]

    def run(self) -> int:
        """Do what was asked."""
        return self.command.run()
