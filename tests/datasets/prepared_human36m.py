"""Human3.6M as Learnable Triangulation prepares it, small."""

from pathlib import Path

import cv2
import numpy as np

from dispose.datasets.layouts.human36m import LABELS
from dispose_synthetic.human36m_rig import NAMES, human36m_rig
from dispose_synthetic.joint_maps import looked_at


def prepared_human36m(folder: Path, subjects: tuple[str, ...]) -> None:
    """One action of every subject as the authors of Learnable Triangulation lay it out, one instant, grey images."""
    camera = np.dtype([("R", "<f4", (3, 3)), ("t", "<f4", (3, 1)), ("K", "<f4", (3, 3)), ("dist", "<f4", 5)])
    row = np.dtype([
        ("subject_idx", "i1"), ("action_idx", "i1"), ("frame_idx", "<i2"),
        ("keypoints", "<f4", (17, 3)), ("bbox_by_camera_tlbr", "<i2", (4, 4)),
    ])  # fmt: skip
    cameras, table = np.zeros((len(subjects), 4), camera), np.zeros(len(subjects), row)
    table["subject_idx"], table["bbox_by_camera_tlbr"] = np.arange(len(subjects)), [100, 200, 700, 600]
    for number, subject in enumerate(subjects):
        rig = human36m_rig(subject)
        cameras["R"][number], cameras["t"][number] = rig.rotation.numpy(), rig.translation.numpy()[..., None]
        cameras["K"][number] = rig.matrix.numpy()
        middle = np.append(looked_at(rig).numpy(), 900)
        table["keypoints"][number] = np.random.default_rng(number).normal(middle, 250, (17, 3))
        for name, height in zip(NAMES, (1002, 1000, 1000, 1002), strict=True):
            place = folder / "processed" / subject / "Walking-1" / "imageSequence-undistorted" / name
            place.mkdir(parents=True)
            assert cv2.imwrite(str(place / "img_000001.jpg"), np.full((height, 1000, 3), 90 + 20 * number, np.uint8))
    labels = {
        "subject_names": list(subjects), "camera_names": list(NAMES), "action_names": ["Walking-1"],
        "cameras": cameras, "table": table,
    }  # fmt: skip
    (folder / LABELS).parent.mkdir()
    np.save(folder / LABELS, np.array(labels, dtype=object), allow_pickle=True)
