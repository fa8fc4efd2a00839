"""Frozen records of tensors: moved, indexed, padded and joined as one value.

A field's axes are the words of its jaxtyping annotation, so that ``frame.select(views=[0, 2])`` takes these views of
every field that has views, however deep, and leaves the others alone. A tuple that runs along an axis says so by
`along`.
"""

from collections.abc import Callable, Sequence
from dataclasses import Field, fields, replace
from functools import cache
from typing import Any, TypeVar, get_args

import torch
from jaxtyping import AbstractArray
from torch import Tensor

from dispose.errors import ShapeError

ABSENT = -1
"""The index that says "not there": no slot, no identity. Masked and padded indices hold it."""

Rows = Tensor | Sequence[int] | slice
Record = TypeVar("Record", bound="TensorStruct")


def along(axis: str) -> dict[str, str]:
    """Metadata of a field that is a tuple with one entry per element of an axis."""
    return {"axis": axis}


class TensorStruct:
    """Mixin for frozen dataclasses whose fields are tensors, records of tensors, or plain values."""

    def to(self: Record, target: torch.device | torch.dtype | str) -> Record:
        """A copy on a device or in a dtype; a dtype changes the floating-point tensors only."""

        def moved(values: Sequence[Tensor], _: Field) -> Tensor:
            value = values[0]
            keeps = isinstance(target, torch.dtype) and not value.is_floating_point()
            return value if keeps else value.to(target)

        return _merge([self], moved)

    def __getitem__(self: Record, rows: Rows | int) -> Record:
        """Entries along the leading axis of every tensor: a mask, indices, a slice, or one entry without the axis."""
        chosen = list(rows) if isinstance(rows, Sequence) else rows
        return _merge([self], lambda values, _: values[0][chosen])

    def select(self: Record, **rows: Rows) -> Record:
        """Entries along named axes: a mask, indices or a slice, in the order given.

        Raises:
            ShapeError: no field has an axis of that name.
        """
        found = self
        for axis, chosen in rows.items():
            if not _has_axis(self, axis):
                raise ShapeError(f"{type(self).__name__} has no axis {axis!r}")
            found = _select(found, axis, list(chosen) if isinstance(chosen, Sequence) else chosen)
        return found

    def pad(self: Record, **length: int) -> Record:
        """Named axes made longer at their end: with `ABSENT` in integers, 0 and False elsewhere."""
        found = self
        for axis, size in length.items():
            found = _merge([found], lambda values, of, axis=axis, size=size: _pad(values[0], _axis_of(of, axis), size))
        return found


def stack(records: Sequence[Record]) -> Record:
    """Records of equal shape as one with a new leading axis; plain values must agree and are kept once."""

    def agreed(values: Sequence[Any], of: Field) -> object:
        if any(value != values[0] for value in values):
            raise ShapeError(f"{type(records[0]).__name__}.{of.name} differs: {values[0]!r} and others")
        return values[0]

    return _merge(records, lambda values, _: torch.stack(list(values)), agreed)


def cat(records: Sequence[Record], axis: str) -> Record:
    """Records one after the other along a named axis; what does not have the axis is the first one's."""

    def joined(values: Sequence[Tensor], of: Field) -> Tensor:
        place = _axis_of(of, axis)
        return values[0] if place is None else torch.cat(list(values), place)

    return _merge(records, joined)


def _merge(
    records: Sequence[Record],
    tensors: Callable[[Sequence[Tensor], Field], Tensor],
    others: Callable[[Sequence[Any], Field], object] = lambda values, _: values[0],
) -> Record:
    """One record of several, or of one, field by field, in nested records too."""
    first, changed = records[0], dict[str, Any]()
    for of in fields(first):  # type: ignore[arg-type]
        values = [vars(record)[of.name] for record in records]
        if isinstance(values[0], TensorStruct):
            changed[of.name] = _merge(values, tensors, others)
        else:
            changed[of.name] = (tensors if isinstance(values[0], Tensor) else others)(values, of)
    return replace(first, **changed)  # type: ignore[type-var]


def _select(record: Record, axis: str, rows: Tensor | list[int] | slice) -> Record:
    """Entries along one axis."""

    def taken(values: Sequence[Tensor], of: Field) -> Tensor:
        place = _axis_of(of, axis)
        return values[0] if place is None else values[0].movedim(place, 0)[rows].movedim(0, place)

    def of_tuple(values: Sequence[Any], of: Field) -> object:
        if not values[0] or of.metadata.get("axis") != axis:
            return values[0]
        return tuple(values[0][row] for row in torch.arange(len(values[0]))[rows].tolist())

    return _merge([record], taken, of_tuple)


def _has_axis(record: TensorStruct, axis: str) -> bool:
    own = any(_axis_of(of, axis) is not None for of in fields(record))  # type: ignore[arg-type]
    return own or any(_has_axis(value, axis) for value in vars(record).values() if isinstance(value, TensorStruct))


@cache
def _axis_of(of: Field, axis: str) -> int | None:
    """Where an axis of that name stands in a field; counted from the end behind axes of any number."""
    for kind in (of.type, *get_args(of.type)):
        words = kind.dim_str.split() if isinstance(kind, type) and issubclass(kind, AbstractArray) else []
        if axis in words:
            place = words.index(axis)
            return place - len(words) if any(word.startswith(("*", "...")) for word in words[:place]) else place
    return None


def _pad(value: Tensor, place: int | None, size: int) -> Tensor:
    if place is None or value.shape[place] == size:
        return value
    shape = list(value.shape)
    shape[place] = size - shape[place]
    integers = not value.is_floating_point() and value.dtype != torch.bool
    return torch.cat([value, value.new_full(shape, ABSENT if integers else 0)], place)
