"""What evaluation passes around: scenes, methods, figures and rows."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from dispose.association.reconstruct import reconstruct_frame
from dispose.errors import InputError
from dispose.scene.frame import Frame, Labels
from dispose.scene.prediction import Association, Prediction

Associate = Callable[[Frame], Association]
Reconstruct = Callable[[Frame, Association], Prediction]


@dataclass(frozen=True, eq=False)
class Scene:
    """One instant: what a method may see, and what only the metrics may see."""

    frame: Frame
    labels: Labels


@dataclass(frozen=True, eq=False)
class Associated:
    """Who is who in a scene, according to a method."""

    scene: Scene
    association: Association


@dataclass(frozen=True, eq=False)
class Outcome:
    """Who is where in a scene, according to a method."""

    scene: Scene
    prediction: Prediction


@dataclass(frozen=True, eq=False)
class Method:
    """Something that says who is who and where.

    Attributes:
        name: how tables call it.
        associate: detections to groups; never sees labels.
        reconstruct: groups to skeletons.
        gate_mm: the distance it was set to, None where it has none.
    """

    name: str
    associate: Associate
    reconstruct: Reconstruct = reconstruct_frame
    gate_mm: float | None = None


@dataclass(frozen=True)
class Figure:
    """One number of a table (or one per actor); shares are in percent, distances in mm."""

    name: str
    value: float | tuple[float, ...]


Measure = Callable[[Sequence[Outcome]], tuple[Figure, ...]]


@dataclass(frozen=True)
class Row:
    """The figures of one method on one set of scenes; `seconds` is the mean time of a frame's association."""

    method: str
    detections: str
    frames: int
    gate_mm: float | None
    figures: tuple[Figure, ...]
    seconds: float

    def value(self, name: str) -> float:
        """A figure that is one number. Raises `InputError` where the row has none of that name."""
        for figure in self.figures:
            if figure.name == name and isinstance(figure.value, float):
                return figure.value
        raise InputError(f"{self.method}: no figure {name!r}; there are {', '.join(f.name for f in self.figures)}")


def gather(items: Iterable[tuple[Frame, Labels]], views: Sequence[int] | None = None) -> tuple[Scene, ...]:
    """The scenes of a data set, as some of the cameras see them, in the order given.

    Raises `InputError` for a view that is not there.
    """
    scenes = []
    for frame, labels in items:
        if views is not None:
            count = len(frame.cameras)
            bad = [v for v in views if not 0 <= v < count]
            if bad or len(set(views)) != len(views):
                raise InputError(f"views {list(views)}: each of 0 to {count - 1} at most once")
            frame, labels = frame.select(views=views), replace(labels, identity=labels.identity[list(views)])
        scenes.append(Scene(frame, labels))
    return tuple(scenes)
