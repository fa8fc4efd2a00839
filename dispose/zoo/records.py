"""Frozen configuration records as JSON and back, by their type annotations alone."""

import json
import math
from collections.abc import Sequence
from dataclasses import MISSING, Field, asdict, fields, is_dataclass, replace
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from dispose.errors import InputError

Record = TypeVar("Record")

# What JSON may hold for a plain type: it writes 2.0 as it likes, and true is no number.
KINDS: dict[type, tuple[type, ...]] = {int: (int,), float: (float, int), str: (str,), bool: (bool,)}


def to_json(record: object) -> str:
    """A frozen dataclass of plain values, tuples and such dataclasses, as JSON."""
    return json.dumps(asdict(record), sort_keys=True)  # type: ignore[call-overload]


def from_json(text: str, kind: type[Record], source: str) -> Record:
    """The record a JSON text describes.

    Raises:
        InputError: the text is not JSON, names an unknown field, or lacks one; the message names `source`.
    """
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: its configuration is not JSON ({error})") from None
    return _build(stored, kind, source)


def override(record: Record, settings: Sequence[str]) -> Record:
    """A frozen record with some of its values replaced, each said as ``path.to.field=value`` (the value in JSON).

    Raises:
        InputError: there is no such field, or it takes no such value.
    """
    for setting in settings:
        path, sign, text = setting.partition("=")
        if not sign:
            raise InputError(f"--set {setting}: a setting is written path.to.field=value")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        record = _replaced(record, path.split("."), value, f"--set {setting}")
    return record


def _replaced(record: Any, path: list[str], value: object, source: str) -> Any:
    there = {field.name: field for field in fields(record)} if is_dataclass(record) else {}
    if path[0] not in there:
        raise InputError(
            f"{source}: {type(record).__name__} has no {path[0]!r} (there is {', '.join(there) or 'none'})"
        )
    if path[1:]:
        new = _replaced(vars(record)[path[0]], path[1:], value, source)
    else:
        new = _build(value, get_type_hints(type(record))[path[0]], source)
        _require_sensible(there[path[0]], vars(record)[path[0]], new, source)
    return replace(record, **{path[0]: new})  # pyright: ignore[reportArgumentType]


LARGEST = 10**9


def _require_sensible(field: Field[Any], old: object, new: object, source: str) -> None:
    """Raise `InputError` where a number comes in the place of another one that is none of its kind.

    Of what is counted there has to be one, unless the field says otherwise (`dispose.options.FROM_0`).
    """
    if isinstance(old, bool) or not isinstance(old, int | float) or not isinstance(new, int | float):
        return
    least = field.metadata.get("least", 1) if isinstance(old, int) and old > 0 else 0
    if (old >= 0 and new < least) or abs(new) > LARGEST:
        raise InputError(f"{source}: {field.name} is {new:g}; a number from {least} to {LARGEST:g} is expected")


def _build(stored: Any, kind: Any, source: str) -> Any:
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        names = {field.name for field in fields(kind)}
        # A field that an older file does not know has the default, which is what held before there was a choice.
        needed = {field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING}
        if not isinstance(stored, dict) or not needed <= set(stored) <= names:
            found = sorted(stored) if isinstance(stored, dict) else stored
            raise InputError(f"{source}: {kind.__name__} has the fields {sorted(names)}, the file says {found}")
        return kind(**{name: _build(value, hints[name], source) for name, value in stored.items()})
    if get_origin(kind) is UnionType:
        some = [one for one in get_args(kind) if one is not NoneType]
        if stored is None and len(some) < len(get_args(kind)):
            return None
        return _build(stored, some[0], source)
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        item = inner[0] if len(inner) == 2 and inner[1] is Ellipsis else None
        if not isinstance(stored, list) or (item is None and len(stored) != len(inner)):
            raise InputError(f"{source}: its configuration holds {stored!r} where a list is expected")
        return tuple(_build(v, item or inner[k], source) for k, v in enumerate(stored))
    if kind in KINDS and (type(stored) not in KINDS[kind] or (type(stored) is float and not math.isfinite(stored))):
        raise InputError(f"{source}: its configuration holds {stored!r} where {kind.__name__} is expected")
    return stored
