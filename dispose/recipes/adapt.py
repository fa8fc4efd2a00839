"""Weights of the package brought nearer to one room by what its own cameras saw."""

from pathlib import Path

from dispose.errors import InputError
from dispose.recipes.orders import TrainingOrder
from dispose.training.stretches import AdaptRecipe
from dispose.zoo.records import override

RECIPES = {"adapt": AdaptRecipe()}


def train(order: TrainingOrder) -> Path:
    """Adapt to a capture; the path of the weights that are best there."""
    # Imported here: only training needs Lightning.
    from dispose.inference.capture import read_capture, source_of
    from dispose.training.adaptation import REPORT, adapt_associator

    order.refuse_data(("start", "calibration", "detections"))
    if order.adapt is None:
        raise InputError(
            "say what to train: a recipe (`dispose train --help` lists them), or --adapt CAPTURE to fine-tune the "
            "association on what is found in a capture."
        )
    recipe = override(RECIPES[order.recipe], order.set)
    capture = read_capture(order.adapt, calibration=order.calibration, detections=order.detections)
    for note in capture.notes:
        print(note)
    name = order.adapt.resolve().name
    weights, verdict = adapt_associator(
        recipe, name, source_of(capture), order.folder, start=order.start, workers=order.workers
    )
    print((order.folder / REPORT).read_text())
    print(verdict.sentence(recipe))
    return weights
