"""Frozen records of tensors: moved and indexed as one value."""

from dataclasses import fields, replace
from typing import TypeVar

import torch
from torch import Tensor

ABSENT = -1
"""The index that says "not there": no slot, no identity."""

Record = TypeVar("Record", bound="TensorStruct")


class TensorStruct:
    """Mixin for frozen dataclasses whose fields are tensors, records of tensors, or plain values."""

    def to(self: Record, target: torch.device | torch.dtype | str) -> Record:
        """A copy on a device or in a dtype; a dtype changes the floating-point tensors only."""
        changed = {}
        for field in fields(self):  # type: ignore[arg-type]
            value = self.__dict__[field.name]
            if isinstance(value, TensorStruct):
                changed[field.name] = value.to(target)
            elif isinstance(value, Tensor):
                if isinstance(target, torch.dtype) and not value.is_floating_point():
                    continue
                changed[field.name] = value.to(target)
        return replace(self, **changed)  # type: ignore[type-var]
