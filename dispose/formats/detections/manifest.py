"""Which detector made a folder of detections: `detector.json` beside the cameras' folders."""

import json
from dataclasses import dataclass
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.entry import Entry
from dispose.formats.files import replacing
from dispose.skeletons.catalog import by_name
from dispose.skeletons.skeleton import Skeleton

NAME = "detector.json"
SCHEMA = "dispose.detections/1"

Named = tuple[tuple[str, str], ...]
"""Values as text by their names."""


@dataclass(frozen=True)
class DetectionsManifest:
    """What the detections of a folder depend on.

    Attributes:
        detector: its name.
        skeleton: the joints of its keypoints.
        weights: the SHA-256 of every network's weights.
        settings: values of its settings.
        recordings: what every camera's images are.
    """

    detector: str
    skeleton: Skeleton
    weights: Named
    settings: Named
    recordings: Named

    def differences(self, other: "DetectionsManifest") -> list[str]:
        """Where another differs, each in words; of recordings those that both have."""
        both = {name for name, _ in self.recordings} & {name for name, _ in other.recordings}
        found = []
        for what, ours, theirs in zip(GROUPS, self._groups(both), other._groups(both), strict=True):
            mine, yours = dict(ours), dict(theirs)
            for name in dict.fromkeys([*mine, *yours]):
                one, two = mine.get(name, "not given"), yours.get(name, "not given")
                if one != two:
                    found.append(f"{what}{name} was {one}, now it is {two}")
        return found

    def _groups(self, cameras: set[str]) -> tuple[Named, ...]:
        names = (("detector", self.detector), ("skeleton", self.skeleton.name))
        recordings = tuple(one for one in self.recordings if one[0] in cameras)
        return names, self.weights, self.settings, recordings


GROUPS = ("the ", "the weights ", "the setting ", "the recording of ")


def write_manifest(folder: Path, manifest: DetectionsManifest) -> None:
    """Write it into the folder of the detections."""
    content = {
        "schema": SCHEMA,
        "detector": manifest.detector,
        "skeleton": manifest.skeleton.name,
        "joints": manifest.skeleton.joints,
        "weights": dict(manifest.weights),
        "settings": dict(manifest.settings),
        "recordings": dict(manifest.recordings),
    }
    with replacing(folder / NAME) as file:
        json.dump(content, file, indent=1, ensure_ascii=False)
        file.write("\n")


def read_manifest(folder: Path) -> DetectionsManifest | None:
    """That of a folder of detections; None where there is none of ours.

    Raises:
        InputError: it is damaged, or its skeleton is not in the catalogue.
    """
    if not (folder / NAME).is_file():
        return None
    root = Entry.of_json(folder / NAME)
    if not root.has("schema") or root.at("schema").value != SCHEMA:
        return None
    weights, settings, recordings = (
        tuple((name, value.text()) for name, value in root.at(key).entries())
        for key in ("weights", "settings", "recordings")
    )
    skeleton = by_name(root.at("skeleton").text())
    if list(skeleton.joints) != root.at("joints").value:
        raise InputError(f"{root.place}: the joints are not those of {skeleton.name}.")
    return DetectionsManifest(root.at("detector").text(), skeleton, weights, settings, recordings)
