"""The parameters of a notebook: what its cell declares, and values for it from a command line."""

import ast
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.files import parse_json, read_text
from dispose_workbench.results.run_folders import Parameters, Value

PATHS = "list[Path]"
OUT = "out"
"""The parameter that says where a notebook writes; a headless run gives it a folder of its own."""


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's parameters cell: the variable, its default's source text, and the comment behind it.

    `kind` is its annotation: int, float, bool, str, Path or list[Path] (on a command line, with commas between).
    """

    name: str
    kind: str
    default: str
    help: str


def parameters_of(path: Path) -> tuple[Parameter, ...]:
    """What a notebook's parameters cell declares; `InputError` where the file is no notebook."""
    import papermill

    require_notebook(path)
    try:
        found = papermill.inspect_notebook(str(path)).values()
    except (papermill.exceptions.PapermillException, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: its parameters cannot be read ({str(error)[:200]}).") from error
    return tuple(Parameter(p["name"], p["inferred_type_name"], p["default"], p["help"]) for p in found)


def require_notebook(path: Path) -> None:
    """Raise `InputError` where a file is no notebook as Jupyter writes it."""
    import nbformat

    root = parse_json(read_text(path), str(path))
    if not isinstance(root, dict) or type(root.get("nbformat")) is not int:
        raise InputError(f"{path}: is no notebook (it does not say its nbformat).")
    try:
        nbformat.validate(root)
    except (
        nbformat.ValidationError, AssertionError, AttributeError, ImportError, LookupError, TypeError, ValueError,
        RecursionError,
    ) as error:  # fmt: skip
        what = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: is no notebook as Jupyter writes it ({what[:200]}).") from error


def read_values(declared: Sequence[Parameter], given: Sequence[tuple[str, str]], folder: Path) -> Parameters:
    """Values in the types that the notebook declares; relative paths start at `folder`.

    Raises:
        InputError: an unknown or repeated name, or a text that is not of the declared type.
    """
    kinds = {parameter.name: parameter.kind for parameter in declared}
    values: dict[str, Value] = {}
    for name, text in given:
        if name not in kinds:
            known = ", ".join(f"{p.name}: {p.kind}" for p in declared) or "none"
            raise InputError(f"the notebook has no parameter {name!r}; it has {known}")
        if name in values:
            raise InputError(f"the parameter {name!r} is given twice")
        if name == OUT:
            raise InputError("the notebook writes into the folder of its run: name that one, with --out")
        kind = kinds[name]
        if kind not in READERS:
            raise InputError(f"the notebook declares {name!r} as {kind}, which no command line can give")
        try:
            values[name] = READERS[kind](text, folder)
        except (ValueError, RuntimeError):  # the latter: a loop of links, the home of nobody
            raise InputError(f"the parameter {name!r} must be of type {kind}, got {text!r}") from None
    return tuple(values.items())


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _path(text: str, folder: Path) -> str:
    if not text.strip():
        raise ValueError(text)
    return str((folder / Path(text).expanduser()).resolve())


READERS: dict[str, Callable[[str, Path], Value]] = {
    "int": lambda text, _: int(text),
    "float": lambda text, _: _finite(text),
    "bool": lambda text, _: bool(("false", "true").index(text.lower())),
    "str": lambda text, _: text,
    "Path": _path,
    PATHS: lambda text, folder: [_path(word.strip(), folder) for word in text.split(",")],
}
"""How the text of a parameter becomes its value; `ValueError` where it cannot."""


def all_values(declared: Sequence[Parameter], given: Parameters) -> Parameters:
    """Every parameter with its value: what was given, else the default, or its source text where it is no literal."""
    known = dict(given)
    return tuple((p.name, known[p.name] if p.name in known else _literal(p.default)) for p in declared)


def _literal(source: str) -> Value:
    try:
        value = ast.literal_eval(source)
    except (ValueError, SyntaxError):
        return source
    return value if isinstance(value, int | float | str) else source
