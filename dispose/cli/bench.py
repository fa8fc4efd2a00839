"""`dispose bench`: what things cost."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from dispose_benchmarks.adapt import AdaptBench
from dispose_benchmarks.association import AssociationBench
from dispose_benchmarks.detect import DetectBench
from dispose_benchmarks.detect_accuracy import DetectAccuracyBench
from dispose_benchmarks.faults import FaultsBench
from dispose_benchmarks.kernels import KernelsBench
from dispose_benchmarks.labels import LabelsBench
from dispose_benchmarks.lags import LagsBench
from dispose_benchmarks.limits import LimitsBench
from dispose_benchmarks.own_images import OwnImagesBench
from dispose_benchmarks.past import PastBench
from dispose_benchmarks.pose_command import PoseBench
from dispose_benchmarks.refine import RefineBench
from dispose_benchmarks.rendering import RenderingBench
from dispose_benchmarks.run import RunBench
from dispose_benchmarks.single_view import SingleViewBench
from dispose_benchmarks.smoothing import SmoothingBench
from dispose_benchmarks.steps import StepsBench
from dispose_benchmarks.training import TrainingBench
from dispose_benchmarks.triangulators import TriangulatorsBench


@dataclass(frozen=True)
class BenchCommand:
    """Time and memory of the whole way from files to files; of association, as views and people grow; of the image
    models, at the published sizes; of the fast operators beside their definitions; of drawing synthetic images; of a
    training step, and how long it waits for its loader; of the joints of a person by every triangulator; and how good
    the association is: by the steps of its sampler, at its limits, beside the classic ways, with the past of a
    sequence, and with a lifter for people whom one camera alone sees; what refining gives back of knocked cameras, and
    what smoothing over all frames is worth; what detecting in videos costs, and how good people are who were detected;
    whether `dispose check` names and mends what is wrong with a capture; and how good pseudo-labels are.

    Whole ways, association and image models run in a process of their own for each capture or size, so that its peak
    memory is its own. Times are of this machine in this minute.
    """

    command: tyro.conf.OmitSubcommandPrefixes[
        Annotated[AdaptBench, tyro.conf.subcommand("adapt")]
        | Annotated[AssociationBench, tyro.conf.subcommand("association")]
        | Annotated[DetectBench, tyro.conf.subcommand("detect")]
        | Annotated[DetectAccuracyBench, tyro.conf.subcommand("detect-accuracy")]
        | Annotated[FaultsBench, tyro.conf.subcommand("faults")]
        | Annotated[LagsBench, tyro.conf.subcommand("lags")]
        | Annotated[LabelsBench, tyro.conf.subcommand("labels")]
        | Annotated[LimitsBench, tyro.conf.subcommand("limits")]
        | Annotated[OwnImagesBench, tyro.conf.subcommand("own-images")]
        | Annotated[PastBench, tyro.conf.subcommand("past")]
        | Annotated[PoseBench, tyro.conf.subcommand("pose")]
        | Annotated[KernelsBench, tyro.conf.subcommand("kernels")]
        | Annotated[RefineBench, tyro.conf.subcommand("refine")]
        | Annotated[RenderingBench, tyro.conf.subcommand("rendering")]
        | Annotated[RunBench, tyro.conf.subcommand("run")]
        | Annotated[SingleViewBench, tyro.conf.subcommand("single-view")]
        | Annotated[SmoothingBench, tyro.conf.subcommand("smoothing")]
        | Annotated[StepsBench, tyro.conf.subcommand("steps")]
        | Annotated[TrainingBench, tyro.conf.subcommand("training")]
        | Annotated[TriangulatorsBench, tyro.conf.subcommand("triangulators")]
    ]

    def run(self) -> int:
        """Measure, print, write."""
        return self.command.run()
