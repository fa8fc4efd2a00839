"""`dispose bench`: what things cost."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from dispose_benchmarks.commands.association import AssociationBench
from dispose_benchmarks.commands.pose import Pose


@dataclass(frozen=True)
class BenchCommand:
    """Time and memory: of association, as views and people grow; of the image models, at the published sizes.

    Every measurement runs in a process of its own, so that its peak memory is its own. Times are of this machine in
    this minute.
    """

    command: tyro.conf.OmitSubcommandPrefixes[
        Annotated[AssociationBench, tyro.conf.subcommand("association")] | Annotated[Pose, tyro.conf.subcommand("pose")]
    ]

    def run(self) -> int:
        """Measure, print, write."""
        return self.command.run()
