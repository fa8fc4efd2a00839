"""A training of the teaching toy that leaves a folder, as the long trainings do: recipe, log, figures."""

import json
from pathlib import Path

import torch

from dispose.formats.files import replacing
from dispose.models.dispose.denoiser import Denoiser
from dispose.training.processes import claim
from dispose.zoo.records import to_json
from dispose_workbench.toy.network import TOY_DENOISER
from dispose_workbench.toy.scenes import draw_toy_scenes
from dispose_workbench.toy.scores import by_diffusion, score_toy
from dispose_workbench.toy.training import ToyTraining, train_toy

UNSEEN = 40
"""Scenes that the trained network is scored on."""


def write_toy_run(folder: Path, training: ToyTraining, *, seed: int = 0) -> Path:
    """Train from scratch and write ``recipe.json``, ``metrics.jsonl`` (a line per step), ``metrics.json``.

    The log grows while the training runs, the figures come last. Returns the folder.

    Raises:
        InputError: the folder holds a run of another recipe.
    """
    claim(folder, to_json(training))
    torch.manual_seed(seed)
    network, generator = Denoiser(TOY_DENOISER), torch.Generator().manual_seed(seed)
    unseen = draw_toy_scenes(training.scenes, UNSEEN, generator)
    with (folder / "metrics.jsonl").open("w", encoding="utf-8") as log:
        for step in train_toy(network, training, generator):
            log.write(json.dumps({"step": step.number, "toy/loss": step.loss}) + "\n")
            log.flush()
    score = score_toy(by_diffusion(network.eval()), unseen)
    with replacing(folder / "metrics.json") as file:
        json.dump({"people_right_%": 100 * score.people, "scenes_right_%": 100 * score.scenes}, file)
    return folder
