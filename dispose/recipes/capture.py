"""The shipped model for images brought nearer to one room by its own images and their pseudo-labels."""

from dataclasses import replace
from pathlib import Path

from dispose.errors import InputError
from dispose.recipes.orders import TrainingOrder
from dispose.recipes.synthetic import TOY_IMAGES
from dispose.training.config import LabelRules, Optimisation
from dispose.training.stretches import CaptureRecipe
from dispose.zoo.records import override

_TOY = TOY_IMAGES.training

CAPTURE = CaptureRecipe(
    rules=LabelRules(fewest_joints=8),
    backbone=replace(
        _TOY.backbone,
        optimisation=Optimisation(steps=500, batch=4, rate=5e-4, warmup=40, clip=5.0, weight_decay=1e-4),
        copies=1,
        complete_labels=False,
    ),
    pose=replace(
        _TOY.pose,
        optimisation=Optimisation(
            steps=400, batch=4, rate=3e-4, warmup=40, clip=5.0, weight_decay=1e-4, select_every=100
        ),
        copies=1,
    ),
)
"""A quarter of an hour on two CPU cores."""

RECIPES = {CAPTURE.name: CAPTURE}


def train(order: TrainingOrder) -> Path:
    """Train on a capture's own images; the path of the weights that are best there.

    Raises:
        InputError: the capture or its labels are not named, or do not belong together.
    """
    # Imported here: only training needs Lightning.
    from dispose.inference.capture import read_image_capture
    from dispose.inference.sizes import check_sizes
    from dispose.training.own_images import open_labelled, train_on_capture

    order.refuse_data(("data", "labels", "start", "cameras", "calibration"))
    if order.data is None or order.labels is None:
        raise InputError(
            "training on a capture needs --data CAPTURE, with images or videos of it, and --labels FILE, "
            "which `dispose prepare CAPTURE` makes of what `dispose detect CAPTURE` found."
        )
    recipe = override(RECIPES[order.recipe], order.set)
    capture = read_image_capture(order.data, order.calibration)
    check_sizes(capture.cameras, capture.views)
    for note in capture.notes:
        print(note)
    labelled = open_labelled(order.data.resolve().name, capture, order.labels, order.cameras)
    weights, verdict = train_on_capture(recipe, labelled, order.folder, start=order.start, workers=order.workers)
    print(verdict.sentence(recipe))
    where = f" --calibration {order.calibration}" if order.calibration else ""
    print(f"people by them: dispose predict {order.data}{where} --from-pictures --weights {weights}")
    return weights
