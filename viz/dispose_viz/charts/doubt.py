"""Whether samples of the associator are as often right as they are alike, from the file of `dispose evaluate doubt`.

Called as ``python -m dispose_viz.charts.doubt DOUBT.json``; the picture is written beside it.
"""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes

from dispose.formats.files import replacing_path
from dispose_viz.charts.curves import LINES, MARKERS
from dispose_viz.style import PALETTE, POINTS_PER_INCH, add_legend, dress_chart, new_figure, theme_of

SURE = 1.96
"""Standard deviations of an interval that holds the true share 19 times in 20."""


@dataclass(frozen=True)
class Claim:
    """Frames of a kind whose commonest sample has about the same share of all samples.

    That share and how many of these samples are the whole truth, in percent, and the number of frames.
    """

    frames: str
    claimed: float
    right: float
    count: int


def read_claims(path: Path) -> list[Claim]:
    """The claims of a result file, without bins that no frame fell into."""
    rows = json.loads(path.read_text())["rows"]
    return [
        Claim(row["detections"], row["claimed"], row["whole_truth"], row["frames"])
        for row in rows
        if row.get("claimed") is not None
    ]


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Wilson's interval of a share (0 to 1) of n: ``(p + z²/2n ± z sqrt(p (1 - p) / n + z²/4n²)) / (1 + z²/n)``."""
    middle, scale = share + SURE**2 / (2 * count), 1 + SURE**2 / count
    reach = SURE * math.sqrt(share * (1 - share) / count + SURE**2 / (4 * count**2))
    return (middle - reach) / scale, (middle + reach) / scale


def draw_claims(axes: Axes, claims: Sequence[Claim]) -> Axes:
    """Share of the samples that are alike (across), and how often they are the whole truth (up), with intervals.

    On the dashed line samples are right as often as they claim, below it less often.
    """
    ink = theme_of(axes).ink
    axes.plot([0, 100], [0, 100], "--", color=ink, linewidth=1)
    for row, kind in enumerate(dict.fromkeys(claim.frames for claim in claims)):
        mine = [claim for claim in claims if claim.frames == kind]
        # Beside each other, so that no interval hides another.
        at = [claim.claimed + 0.8 * row for claim in mine]
        right = [claim.right for claim in mine]
        ends = [wilson_interval(claim.right / 100, claim.count) for claim in mine]
        below, above = zip(*((r - 100 * low, 100 * high - r) for r, (low, high) in zip(right, ends, strict=True)))
        axes.errorbar(
            at, right, (below, above), color=PALETTE[row % len(PALETTE)], linestyle=LINES[row % len(LINES)],
            marker=MARKERS[row % len(MARKERS)], capsize=3, label=kind,
        )  # fmt: skip
    axes.set(xlim=(0, 103), ylim=(-3, 103), xlabel="samples that are alike, %", ylabel="of these the whole truth, %")
    if claims:
        add_legend(axes)
    return dress_chart(axes)


def main(arguments: Sequence[str]) -> int:
    """Draw a result file as a PNG beside it."""
    source = Path(arguments[0])
    figure = new_figure(7, 5)
    draw_claims(figure.subplots(), read_claims(source))
    with replacing_path(source.with_suffix(".png")) as temporary:
        figure.savefig(temporary, format="png", dpi=POINTS_PER_INCH)
    print(f"wrote {source.with_suffix('.png')}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
