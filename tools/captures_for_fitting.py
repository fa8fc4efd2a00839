"""Real captures as frames and labels, for measuring detectors; identities as the data folder's README defines them."""

import json
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, Labels, Poses
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT

FAR = 1e6


def _cameras(path: Path) -> Cameras:
    views = json.loads(path.read_text())["views"]
    size = [[v["width"], v["height"]] for v in views]
    parts = [torch.tensor(x, dtype=torch.float64) for x in (
        size, [v["K"] for v in views], [v["dist"] for v in views], [v["R"] for v in views], [v["t"] for v in views],
    )]  # fmt: skip
    return Cameras(tuple(v["name"] for v in views), parts[0], parts[1], parts[2], parts[3], parts[4].reshape(-1, 3))


def _coco(table: np.ndarray, joints: list[str]) -> np.ndarray:
    """Rows of another skeleton in COCO-17 order; joints it does not have are missing."""
    out = np.full((len(table), 17, table.shape[-1]), np.nan)
    out[..., -1] = 0.0
    for i, name in enumerate(COCO_17.joints):
        if name in joints:
            out[:, i] = table[:, joints.index(name)]
    return out


def _frame(number: int, cameras: Cameras, people: list[np.ndarray], identity: list[np.ndarray], poses: Poses):
    found = Detections.from_lists(COCO_17, [[torch.tensor(p) for p in view] for view in people])
    labels = torch.full(found.valid.shape, ABSENT)
    for v, ids in enumerate(identity):
        labels[v, : len(ids)] = torch.tensor(ids, dtype=torch.long)
    return Frame(number, cameras, found), Labels.of_detections(labels, poses)


def _poses(xyz: np.ndarray, ids: np.ndarray) -> Poses:
    table = torch.tensor(xyz, dtype=torch.float64).reshape(-1, 17, 4)
    valid = (table[..., 3] > 0) & torch.isfinite(table[..., :3]).all(-1)
    points = torch.where(valid[..., None], table[..., :3], 0.0)
    return Poses(COCO_17, points, valid.double(), valid, torch.tensor(ids, dtype=torch.long))


def _nearest_projection(people: np.ndarray, poses: Poses, xy: np.ndarray) -> np.ndarray:
    """Identities by the median joint distance over at least 4 joints, gate a quarter of the projected box."""
    out = np.full(len(people), ABSENT)
    if not len(people) or not len(poses.id):
        return out
    cost = np.full((len(people), len(poses.id)), FAR)
    for i, person in enumerate(people):
        for k in range(len(poses.id)):
            common = (person[:, 2] > 0) & poses.valid[k].numpy()
            box = xy[k][poses.valid[k].numpy()]
            if common.sum() >= 4:
                error = np.median(np.linalg.norm(person[common, :2] - xy[k][common], axis=-1))
                if error < 0.25 * np.linalg.norm(box.max(0) - box.min(0)):
                    cost[i, k] = error
    for i, k in zip(*linear_sum_assignment(cost), strict=True):
        if cost[i, k] < FAR:
            out[i] = int(poses.id[k])
    return out


def _by_projection(cameras: Cameras, detections, poses_of) -> list[tuple[Frame, Labels]]:
    """Frames whose detections get their identity from known 3-D poses."""
    out = []
    for number in np.unique(detections["frame"]):
        poses = poses_of(number)
        xy, _ = cameras.project(poses.xyz_world)
        rows = detections["frame"] == number
        people = [detections["coco"][rows & (detections["view"] == v)] for v in range(len(cameras))]
        identity = [_nearest_projection(p, poses, xy[v].numpy()) for v, p in enumerate(people)]
        out.append(_frame(int(number), cameras, people, identity, poses))
    return out


def shelf(data: Path) -> list[tuple[Frame, Labels]]:
    """Shelf; people are those of the stored reconstruction (the ground truth leaves many out)."""
    folder = data / "shelf"
    meta = json.loads((folder / "meta.json").read_text())
    table, result = np.load(folder / "detections.npz"), np.load(folder / "result_4dassociation.npz")
    joints = _coco(result["kpts"], meta["result_4dassociation"]["joints"])
    detections = {
        "frame": table["frame"],
        "view": table["view"],
        "coco": _coco(table["kpts"], meta["detections"]["joints"]),
    }

    def poses_of(number: int) -> Poses:
        rows = result["frame"] == number
        return _poses(joints[rows], result["person_id"][rows])

    return _by_projection(_cameras(folder / "cameras.json"), detections, poses_of)


def pose2sim(data: Path) -> list[tuple[Frame, Labels]]:
    """Pose2Sim, two people; identities from the authors' own triangulation."""
    folder = data / "pose2sim"
    meta = json.loads((folder / "meta.json").read_text())
    names = [n[1:].lower() for n in meta["trials"]["multi"]["author_markers"]]
    markers = [
        {"R": "r_", "L": "l_"}[full[0]] + name if full[0] in "RL" else full.lower()
        for full, name in zip(meta["trials"]["multi"]["author_markers"], names, strict=True)
    ]
    table, known = np.load(folder / "detections_multi.npz"), np.load(folder / "author_triangulation_multi.npz")
    joints = _coco(known["kpts"], markers)
    detections = {"frame": table["frame"], "view": table["view"], "coco": _coco(table["kpts"], meta["joints"])}

    def poses_of(number: int) -> Poses:
        rows = known["frame"] == number
        return _poses(joints[rows], known["person_id"][rows])

    return _by_projection(_cameras(folder / "cameras.json"), detections, poses_of)


def _in_boxes(people: np.ndarray, boxes: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Identities by the annotated box that holds at least half of the joints and has a similar size.

    (Scores demand 80 %; here the people whose annotation stops at the table are wanted as well.)
    """
    out = np.full(len(people), ABSENT)
    if not len(people) or not len(boxes):
        return out
    cost = np.full((len(people), len(boxes)), FAR)
    for i, person in enumerate(people):
        points = person[person[:, 2] > 0, :2]
        low, high = points.min(0), points.max(0)
        for k, (x, y, w, h) in enumerate(boxes):
            inside = ((points >= (x - 4, y - 4)) & (points <= (x + w + 4, y + h + 4))).all(-1)
            if inside.mean() >= 0.5:
                both = np.clip(np.minimum(high, (x + w, y + h)) - np.maximum(low, (x, y)), 0, None).prod()
                cost[i, k] = 1 - both / max((high - low).prod() + w * h - both, 1.0)
    for i, k in zip(*linear_sum_assignment(cost), strict=True):
        if cost[i, k] < FAR:
            out[i] = ids[k]
    return out


def mvor(data: Path, detector: str) -> list[tuple[Frame, Labels]]:
    """MVOR. The labels' poses hold no joints; their confidences say in which views the person's box is annotated."""
    folder = data / "mvor"
    table, truth = np.load(folder / f"detections_{detector}.npz"), np.load(folder / "gt2d.npz")
    cameras = _cameras(folder / "cameras.json")
    out = []
    for number in np.unique(truth["frame"]):
        people, identity, here = [], [], truth["frame"] == number
        for v in range(3):
            rows = here & (truth["view"] == v) & (truth["person_id_v2"] >= 0)
            view = table["kpts"][(table["frame"] == number) & (table["view"] == v)].astype(np.float64)
            # A quarter of the OpenPose rows repeat another row's keypoints exactly, under another score.
            first = np.unique(np.nan_to_num(view).reshape(-1, 51), axis=0, return_index=True)[1]
            view = view[np.sort(first)]
            people.append(view)
            identity.append(_in_boxes(view, truth["bbox"][rows], truth["person_id_v2"][rows]))
        ids = np.unique(truth["person_id_v2"][here & (truth["person_id_v2"] >= 0)])
        frame, labels = _frame(int(number), cameras, people, identity, _poses(np.zeros((len(ids), 17, 4)), ids))
        seen = torch.zeros(len(ids), 17, dtype=torch.float64)
        for i, person in enumerate(ids):
            for v in range(3):
                seen[i, v] = float((here & (truth["view"] == v) & (truth["person_id_v2"] == person)).any())
        poses = Poses(COCO_17, labels.poses.xyz_world, seen, labels.poses.valid, labels.poses.id)
        out.append((frame, Labels.of_detections(labels.identity, poses)))
    return out
