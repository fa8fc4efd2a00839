"""`dispose evaluate`: figures, with what made them."""

import importlib.util
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Annotated

import tyro

from dispose.cli.drawing import draw
from dispose.cli.jobs import image_method
from dispose.datasets.human36m_choice import CHOICES, choice_of
from dispose.errors import InputError
from dispose.evaluation.agreement import evaluate_agreement
from dispose.evaluation.classic import CLASSIC, classic
from dispose.evaluation.context import evaluate_context
from dispose.evaluation.doubt import evaluate_doubt
from dispose.evaluation.human36m_lifting import LIFTED_PROTOCOLS, LiftedProtocol, lifted_protocol, score_recordings
from dispose.evaluation.one_person import (
    score_human36m_people,
    score_people,
    score_stored_people,
    synthetic_people,
)
from dispose.evaluation.protocols import SWEEP_MM, ImageFrames, Protocol, protocols_of
from dispose.evaluation.published import FOLDER, read_published, side_by_side
from dispose.evaluation.reports import Report, Row, text_table, write_report
from dispose.evaluation.score import (
    Answers,
    Method,
    answers,
    best_method,
    drawn,
    gated_method,
    gather,
    oracle_method,
    random_method,
    save_answers,
    score,
)  # fmt: skip
from dispose.evaluation.subsets import evaluate_subsets
from dispose.evaluation.toy_images import evaluate_toy_images, reduction
from dispose.evaluation.triangulators import Compared, chosen_trials, compare, trials
from dispose.formats.folders import require_file
from dispose.inference.readings import Source
from dispose.inference.run import in_windows
from dispose.models.dispose.model import DisPose
from dispose.options import Count, CountOption, PathOption, one_of, require_folder
from dispose.systems import protocol_names, system_of
from dispose.zoo.checkpoints import (
    load_associator,
    load_context,
    load_person_network,
    load_weights,
    shipped_image_weights,
)
from dispose.zoo.lifters import find_lifter, load_lifter
from dispose.zoo.triangulators import TRIANGULATOR_NAMES, load_reconstruction, load_triangulator
from dispose_benchmarks.studies.learnable import FULL, SMOKE, LearnableStudy
from dispose_benchmarks.studies.lifters import LiftersStudy
from dispose_benchmarks.studies.real_motion import RealMotionStudy

OPTIMAL = "integer_programme"
OURS_IN_WINDOWS = "ours_window"
NAMES = ("ours", OURS_IN_WINDOWS, *(one.key for one in CLASSIC), "random", "oracle")
TOY, TOY_PEOPLE, TOY_CONTEXT, HUMAN36M_PEOPLE = "toy_images", "toy_people", "toy_context", "human36m_people"
DOUBT = "doubt"
CLEAR = "shelf"
"""The data set, and its folder, whose scenes are so clear that random samples should agree."""
TRIANGULATORS, LEARNABLE, REAL_MOTION, LIFTERS = "triangulators", "learnable", "real_motion", "lifters"
LIFTED = tuple(one.name for one in LIFTED_PROTOCOLS)


@dataclass(frozen=True)
class EvaluateCommand:
    """Score associators or image models on a data set and write the figures with commit, command and versions.

    The data are the converted tables described in data/README.md; they are not part of the project.
    Classic associators run at their default gate, or at the best of several (mvor_openpose and --gates-mm), which
    favours them: the gate is chosen by the figure it is scored with.

    `toy_images` scores an image model on synthetic pictures of unseen rigs, beside classic methods on its heat maps;
    `panoptic_images`, `shelf_images`, `campus_images` and `mm_or_images` score one on the data set in its original
    layout (--data: its folder), counted as released and cleanly, beside the published figures.

    `doubt` asks on synthetic huddles whether the associator's diffusion earns its place: the sampler without one of its
    parts, a wrong state shown to the denoiser, and whether samples are as often right as they claim; and on Shelf,
    where it is among the data, whether samples agree in clear scenes.

    `toy_people` and `human36m_people` score an algebraic or a volumetric network (--weights) on one person at a time,
    synthetic or Human3.6M's as Learnable Triangulation prepares it (--data: its folder), beside the published figures:
    every 64th instant, or all of them by the joints that the release stored (--answers).

    `toy_context` scores Context-Aware PoseFormer on drawn people before unseen cameras, with the right picture, a wrong
    one and none.

    `learnable` trains small networks of learned triangulation on heat maps of which some lie, and measures each line
    that they are to hold beside plain and robust triangulation (three minutes a seed on one idle core); `lifters` does
    so for networks that lift one image, beside their controls (`--protocols hypotheses`: one of the studies).

    `diffpose-hypotheses`, `diffpose-gmm` and `context` score such a network (--weights; default: those shipped) on
    Human3.6M's original files in --data (data/cards/human36m.md names them), on the frames that --choice names, beside
    what was published. Each reads any of these files, and MPI-INF-3DHP's (`--choice test_all`: every valid frame).

    `real_motion` measures the lifters of keypoints on HumanEva and Human3.6M, which none has learned from, beside a
    reference that is trained first, and their hypotheses beside errors made elsewhere (an hour on one core).

    `triangulators` compares the ways from groups of keypoints to joints on the same groups: HumanEva with simulated
    detections, Human3.6M's four views (human36m/ with VideoPose3D's two files), Shelf, MVOR and Pose2Sim's two people;
    what is not in the folder of the data is left out.
    """

    protocol: Annotated[
        str, tyro.conf.Positional, one_of(*protocol_names(), *LIFTED, TRIANGULATORS, LEARNABLE, REAL_MOTION, LIFTERS)
    ]
    """What to score on; `mvor` scores all three detectors into one file (OpenPose also without its exact repeats)."""
    associators: tuple[Annotated[str, one_of(*NAMES)], ...] = NAMES
    """Which methods; `ours` is the trained associator, `ours_window` the same with the frames around, `oracle`
    reads the labels."""
    data: Path = Path("../shared/data")
    """Folder with shelf/, mvor/, panoptic_mini/."""
    views: Annotated[tuple[int, ...], tyro.conf.arg(help_behavior_hint="")] = ()
    """Cameras to use, by position and in this order (default: all)."""
    gates_mm: Annotated[tuple[float, ...], tyro.conf.arg(help_behavior_hint="")] = ()
    """Gates to try for every classic associator; the table shows the best by pair F1 (default: the protocol's)."""
    weights: PathOption = None
    """Weights of `ours` or of the image model (default: those shipped)."""
    protocols: Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint="")] = ()
    """Of `triangulators` and `lifters`: which of their parts, such as humaneva_3 or hypotheses (default: all)."""
    triangulators: Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint="")] = ()
    """Of `triangulators`: which of them (default: all)."""
    seeds: Annotated[tuple[int, ...], tyro.conf.arg(help_behavior_hint="")] = (0, 1, 2)
    """Of `learnable` and `lifters`: what is drawn and learned; figures are medians over them."""
    runs: Annotated[tuple[Path, ...], tyro.conf.arg(help_behavior_hint="")] = ()
    """Of `real_motion`: weights of further trainings from other seeds; figures are medians over them and what ships."""
    workers: Count = 1
    """Of `learnable` and `lifters`: seeds that are measured at the same time."""
    smoke: bool = False
    """Of `learnable` and `lifters`: a minute of it, to see that it runs."""
    choice: Annotated[str, one_of(*(choice.name for choice in CHOICES))] = "test"
    """Of the three lifters: every 64th frame of S9 and S11 (`test`), every one, the ambiguous ones, or S1 to S8."""
    answers: PathOption = None
    """Of `human36m_people`: joints that Learnable Triangulation's release stored (val.pkl), in place of a network."""
    hypotheses: CountOption = None
    """Of the three lifters: poses of everybody (default: 200, and 1 of a network that gives one)."""
    frames: Count = 120
    """Synthetic frames that `toy_images` scores, people of `toy_context` for each kind of cameras, and frames of
    `doubt` for every number of views (three seeds)."""
    every: Annotated[int, tyro.conf.arg(help_behavior_hint="")] = 0
    """So many of the cameras, every subset of them: means of the association figures, of classic associators at every
    gate (default: all cameras at once)."""
    save: PathOption = None
    """Also what every method said about every frame, for `dispose inspect`: a folder per data set and method here."""
    out: PathOption = None
    """Result file (default: data/results/NAME.json, with the views in its name)."""

    def run(self) -> int:
        """Score, print, write."""
        every = ("every", self.every) if self.every else ()
        parts = (*(("views", *self.views) if self.views else ()), *every, *self.protocols, *self.triangulators)
        name = "_".join(map(str, (self.protocol, *parts)))
        path = require_file(self.out or Path("data/results") / f"{name}.json")
        if self.answers is not None and self.protocol != HUMAN36M_PEOPLE:
            raise InputError(f"--answers is for {HUMAN36M_PEOPLE}, not for {self.protocol}.")
        others = (TRIANGULATORS, LEARNABLE, REAL_MOTION, LIFTERS, DOUBT, *LIFTED)
        tables = self.protocol not in others and system_of(self.protocol).name == "associator"
        if self.every and (self.views or self.save is not None or not tables):
            raise InputError("--every is for associators on all cameras of a data set, without --views and --save.")
        if self.protocol == TRIANGULATORS:
            return self.score_triangulators(path)
        if self.protocol == LEARNABLE:
            return LearnableStudy(self.seeds, SMOKE if self.smoke else FULL, path, self.workers).run()
        if self.protocol == REAL_MOTION:
            start, study = time.perf_counter(), RealMotionStudy(self.data, self.seeds, self.runs, self.protocols)
            return study.run(path, lambda rows: self.report(rows, (), start))
        lifted = lifted_protocol(self.protocol)
        if lifted is not None:
            return self.score_lifter(lifted, path)
        if self.protocol == LIFTERS:
            return LiftersStudy(self.seeds, self.protocols, path, self.workers, self.smoke).run()
        if self.protocols or self.triangulators:
            raise InputError(f"--protocols and --triangulators are for triangulators, not for {self.protocol}.")
        if self.protocol == DOUBT:
            return self.score_doubt(path)
        if system_of(self.protocol).name in ("algebraic", "context"):
            return self.score_one_person(path)
        if tables:
            return self.score_subsets(path) if self.every else self.score_associators(path)
        if self.save is not None:
            raise InputError(f"--save keeps what associators say, which {self.protocol} does not score.")
        if self.views or self.gates_mm:
            raise InputError(f"--views and --gates-mm are for associators, not for {self.protocol}.")
        return self.score_toy(path) if self.protocol == TOY else self.score_images(path)

    def score_triangulators(self, path: Path) -> int:
        """Triangulators on the same groups."""
        if self.save is not None or self.views or self.gates_mm:
            raise InputError("--save, --views and --gates-mm are for associators, not for triangulators.")
        start, found, names = time.perf_counter(), Compared(), self.triangulators or TRIANGULATOR_NAMES
        table = [(name, load_triangulator(name)) for name in names]
        for trial in chosen_trials(trials(load_associator(self.weights).associate), self.protocols):
            if not (place := self.data / trial.folder).exists():
                print(f"left out: {trial.title}; there is no {place}.")
                continue
            print(trial.title)
            said = compare(trial, self.data, table)
            print(text_table(said.rows + said.by_views))
            found += said
        parts = (("", found.rows), ("_by_views", found.by_views), ("_reliability", found.claims))
        if not any(rows for _, rows in parts):
            raise InputError(f"{self.data}: none of the data are there; data/README.md says how to obtain them.")
        for end, rows in parts:
            if rows:
                target = path.with_name(f"{path.stem}{end}.json")
                write_report(target, self.report(rows, (), start))
                print(f"wrote {target}")
        return draw_results(path, "triangulators")

    def score_one_person(self, path: Path) -> int:
        """An algebraic or a volumetric network, or Context-Aware PoseFormer, on one person at a time."""
        if self.save is not None or self.views or self.gates_mm:
            raise InputError(f"--save, --views and --gates-mm are for associators, not for {self.protocol}.")
        start = time.perf_counter()
        if self.protocol == TOY_CONTEXT:
            return self.conclude(path, evaluate_context(load_context(self.weights), self.frames), start)
        if self.protocol == TOY_PEOPLE:
            rows = score_people(load_person_network(self.weights), synthetic_people(self.frames), "synthetic people")
            return self.conclude(path, rows, start)
        stored = self.answers and score_stored_people(self.answers, self.data)
        rows = stored or score_human36m_people(load_person_network(self.weights), self.data)
        print(side_by_side(rows, read_published(FOLDER / "human36m.json")))
        return self.conclude(path, rows, start, ("human36m",))

    def score_lifter(self, protocol: LiftedProtocol, path: Path) -> int:
        """A network that lifts one image on the original files of Human3.6M or MPI-INF-3DHP."""
        start, named = time.perf_counter(), find_lifter(protocol.name)
        lifter = load_lifter(protocol.name, self.weights, self.hypotheses)
        row = score_recordings(protocol, lifter, self.data, choice_of(self.choice), looks=named.looks)
        published = protocol.published_beside(row)
        for table in published:
            print(side_by_side([row], read_published(FOLDER / f"{table}.json")))
        return self.conclude(path, (row,), start, published)

    def score_doubt(self, path: Path) -> int:
        """Controls of the associator's sampler."""
        if self.save is not None or self.views or self.gates_mm:
            raise InputError("--save, --views and --gates-mm are for data sets; doubt draws its own frames.")
        start, frames, associator = time.perf_counter(), max(self.frames // 3, 1), load_associator(self.weights)
        rows = list(evaluate_doubt(associator, frames=frames))
        for _, alike in groupby(rows, key=lambda row: (row.detections, len(row.figures))):
            print(text_table(tuple(alike)))
        write_report(path, self.report(rows, (), start))
        print(f"wrote {path}")
        (clear,) = protocols_of(CLEAR)
        if (self.data / CLEAR).is_dir():
            agreement = tuple(evaluate_agreement(associator, clear.read(self.data), clear.title))
            print(text_table(agreement))
            beside = path.with_name(f"{path.stem}_{CLEAR}.json")
            write_report(beside, self.report(agreement, (), start))
            print(f"wrote {beside}")
        else:
            print(f"left out: samples on {clear.title}; there is no folder {self.data / CLEAR}.")
        return draw_results(path, "doubt")

    def score_associators(self, path: Path) -> int:
        """Associators on tables of detections."""
        start = time.perf_counter()
        if self.save is not None:
            require_folder(self.save)
        if len(self.views) == 1:
            raise InputError(f"--views is {self.views[0]}; at least two cameras are needed.")
        ours = self.ours()
        rows, sweep = [], []
        for protocol in protocols_of(self.protocol):
            source = gather(protocol.read(self.data), self.views or None)
            first = source.read(source.numbers[0]) if source.numbers else None
            if first is None:
                raise InputError(f"{self.data}: no frames for {protocol.name}")
            print(f"{protocol.title}: {len(source.numbers)} frames, {len(first.frame.cameras)} views")
            found, tried = self.answer(protocol, source, ours)
            rows += [score(protocol, one) for one in found]
            sweep += tried
        print(text_table(tuple(rows)))
        write_report(path, self.report(rows, sweep, start))
        print(f"wrote {path}")
        return 0

    def score_subsets(self, path: Path) -> int:
        """Associators on every subset of the cameras."""
        start, rows = time.perf_counter(), list[Row]()
        ours = self.ours()
        for protocol in protocols_of(self.protocol):
            pairs = list(protocol.read(self.data))
            gated = replace(protocol, gates_mm=self.gates_mm or SWEEP_MM)
            methods = [one for name in self.associators for one in self.methods(name, gated, gather(pairs), ours)]
            rows += evaluate_subsets(protocol, pairs, self.every, methods)
        return self.conclude(path, rows, start)

    def ours(self) -> Method | None:
        """The trained associator, where it is asked for."""
        wanted = {"ours", OURS_IN_WINDOWS} & set(self.associators)
        return Method("ours", load_associator(self.weights).associate) if wanted else None

    def answer(self, protocol: Protocol, source: Source, ours: Method | None) -> tuple[list[Answers], list[Row]]:
        """What every method says, in the order asked for, and the gates that were tried.

        Joints are everybody's by one and the same triangulator, the usual one.
        To be saved, the integer programme at its best gate is everybody's reference, and answers first.
        """
        names, reference, sweep = self.associators, None, list[Row]()
        found: dict[str, Answers] = {}
        if self.save is not None:
            names = (OPTIMAL, *(name for name in names if name != OPTIMAL))
        for name in names:
            method, tried = best_method(protocol, source, self.methods(name, protocol, source, ours))
            method = replace(method, reconstruct=load_reconstruction())
            title = f"{protocol.name}: {method.name}"
            found[name] = answers(source, method, title=title, reference=reference)
            sweep += tried if name in self.associators else ()
            if self.save is not None and name == OPTIMAL:
                known = {one.prediction.number: one.prediction.association for one in found[name].results}
                reference = lambda frame, known=known: known[frame.number]  # noqa: E731
            if self.save is not None and name in self.associators:
                save_answers(self.save / protocol.name / name, protocol, found[name])
        return [found[name] for name in self.associators], sweep

    def methods(self, name: str, protocol: Protocol, source: Source, ours: Method | None) -> list[Method]:
        """One method, or one per gate."""
        if name in ("ours", OURS_IN_WINDOWS):
            assert ours is not None
            if name == "ours":
                return [ours]
            # Expected people have joints by the usual triangulator, also where figures need none.
            return [replace(ours, name="ours, frames around", reconstruct=load_reconstruction(), decide=in_windows)]
        if name in ("random", "oracle"):
            return [random_method() if name == "random" else oracle_method(source)]
        one = classic(name)
        gates = self.gates_mm or protocol.gates_mm or (one.gate_mm,)
        return [gated_method(one, gate, protocol.joints) for gate in gates]

    def score_toy(self, path: Path) -> int:
        """The model beside classic methods on its own heat maps."""
        start = time.perf_counter()
        model = load_weights(self.weights or shipped_image_weights(), DisPose)
        tables = evaluate_toy_images(model, frames=self.frames, gate_frames=max(self.frames // 8, 2))
        print(text_table(tables.rows))
        print(text_table(tables.by_views))
        less = reduction(tables.rows)
        print(f"Stage II lowers MPJPE by {less:.1f} % against the classic bodies on the same heat maps.")
        report, by_views = self.report(tables.rows, tables.tried, start), path.with_name(f"{path.stem}_by_views.json")
        write_report(path, report)
        write_report(by_views, replace(report, rows=tables.by_views, sweep=()))
        print(f"wrote {path} and {by_views}")
        return 0

    def score_images(self, path: Path) -> int:
        """One model on the test frames of a data set, counted in both ways, beside what was published."""
        start = time.perf_counter()
        protocols = protocols_of(self.protocol)
        method = image_method(self.weights or shipped_image_weights())
        frames = protocols[0].read(self.data)
        assert isinstance(frames, ImageFrames)
        found = answers(drawn(iter(frames), len(frames)), method, batch=4)
        print(frames.log.summary())
        if not found.results:
            raise InputError(f"{self.data}: none of the {len(frames)} frames of {protocols[0].title} can be scored.")
        rows = [score(protocol, found) for protocol in protocols]
        for row in rows:
            print(text_table((row,)))
        name = protocols[0].published
        if (FOLDER / f"{name}.json").exists():
            print(side_by_side(rows, read_published(FOLDER / f"{name}.json")))
        write_report(path, replace(self.report(rows, (), start), published=(name,)))
        print(f"wrote {path}")
        return 0

    def conclude(self, path: Path, rows: Sequence[Row], start: float, published: tuple[str, ...] = ()) -> int:
        """Print the rows and write them with what made them, and the published tables beside which they stand."""
        print(text_table(tuple(rows)))
        write_report(path, replace(self.report(rows, (), start), published=published))
        print(f"wrote {path}")
        return 0

    def report(self, rows: Sequence[Row], sweep: Sequence[Row], start: float) -> Report:
        """The rows with the command as it was typed and the seconds since the start."""
        command, seconds = shlex.join(("dispose", *sys.argv[1:])), time.perf_counter() - start
        return Report(self.protocol, self.views or None, tuple(rows), tuple(sweep), command, seconds)


def draw_results(path: Path, chart: str) -> int:
    """A module of the viz package's charts draws results in a process of its own: `dispose` never draws."""
    if importlib.util.find_spec("matplotlib") is None:
        print("no pictures: matplotlib is not installed (pip install 'dispose[viz]')")
        return 0
    return draw(f"dispose_viz.charts.{chart}", path)
