"""The text of a calibration as a tree of plain values: JSON, TOML, YAML or XML, each bounded and without executing it.

OpenCV's own reader of YAML and XML is not used: one damaged token in a file corrupts the memory of the process.
"""

import math
import re
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

from dispose.errors import InputError
from dispose.formats.entry import Entry, number_of, short
from dispose.formats.files import decoded, parse_json, read_bytes

MOST_BYTES = 4 << 20
"""A calibration of a thousand cameras has about a million."""

MOST_YAML_BYTES = 128 << 10
"""Where libyaml is missing, Python code reads it at ten to hundred kilobytes per second; a camera has about one."""

DEEPEST = 20

MOST_DIGITS = 100
"""Of a number in XML: Python takes time by the square of them."""

MOTIVES = (".mcal", ".cal")
"""Endings of OptiTrack's calibrations."""

XML_MARKS = (b"<", b"\xef\xbb\xbf<", b"\xff\xfe<", b"\xfe\xff\x00<")


def read_document(path: Path) -> Entry:
    """A file's tree, whatever its ending: told by how it begins, where that may be TOML as well as JSON by trying.

    Raises:
        InputError: the file is none of the four, is damaged, nested too deeply, or says one thing twice.
    """
    data = read_bytes(path, MOST_BYTES)
    if path.suffix.lower() in MOTIVES and not data.lstrip().startswith(XML_MARKS):
        raise InputError(
            f"{path}: is a calibration of OptiTrack's Motive in its own binary form, which is not documented; export "
            "the calibration as Pose2Sim's TOML, or calibrate with a board (`dispose calibrate board`)."
        )
    if not data.strip():
        raise InputError(f"{path}: is empty.")
    if data.lstrip().startswith(XML_MARKS):
        root = _xml(data, path)
        # OpenCV's XML and its YAML are one tree written in two ways.
        return Entry(str(path), _of_opencv(root, path) if root.tag == "opencv_storage" else root)
    return Entry(str(path), _with_rows(_not_too_deep(_parsed(decoded(data, path), path), path)))


def _parsed(text: str, path: Path) -> object:
    start, ending = text.lstrip(), path.suffix.lower()
    if start.startswith("{") or (start.startswith("[") and ending == ".json"):
        return parse_json(text, str(path))
    if start.startswith(("%YAML", "---")):
        return _yaml(text, path)
    if ending in (".yml", ".yaml"):
        return _yaml(text, path)
    if ending == ".json":
        return parse_json(text, str(path))
    return _toml(text, path)


MOST_PARTS = 64
"""Of a dotted key of TOML, whose reader takes time by the square of them."""

DOTTED = re.compile(rf"(?<![\w-])(?:[\w-]*\.){{{MOST_PARTS}}}")
NO_KEYS = re.compile(r"[ \t]+|\"[^\"\n]*\"|'[^'\n]*'|#[^\n]*")
"""Blanks, texts (parts of keys too, whose points stay) and comments."""


def _toml(text: str, path: Path) -> object:
    if DOTTED.search(NO_KEYS.sub("", text)):
        raise InputError(f"{path}: is nested too deeply to be one of our formats.")
    try:
        return tomllib.loads(text)
    except ValueError as error:
        kind = "TOML" if path.suffix.lower() == ".toml" else "JSON, YAML or XML, nor TOML"
        raise InputError(f"{path}: is no {kind} ({error}).") from error
    except RecursionError as error:
        raise InputError(f"{path}: is nested too deeply to be one of our formats.") from error


class _DamagedYamlError(yaml.constructor.ConstructorError):
    """What a YAML file says that none of ours would."""

    def __init__(self, problem: str, mark: Any) -> None:  # the mark is PyYAML's or libyaml's
        super().__init__(None, None, problem, mark)


_SafeLoader: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class _Loader(_SafeLoader):
    """PyYAML's safe loader with YAML 1.2's plain values and OpenCV's matrices."""


def _refuse_deep_yaml(body: str) -> None:
    """Raise where a text has aliases, or is nested so deeply that composing it could run out of stack."""
    depth = 0
    for event in yaml.parse(body, _Loader):
        if isinstance(event, yaml.AliasEvent):
            raise _DamagedYamlError("an alias (*) is not admitted", event.start_mark)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise _DamagedYamlError("is nested too deeply", event.start_mark)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, object]:
    """A mapping that names everything once; keys are texts as they are written."""
    table: dict[str, object] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _DamagedYamlError("a name is no plain text", key.start_mark)
        if key.value in table:
            raise _DamagedYamlError(f"{key.value!r} is there twice", key.start_mark)
        table[key.value] = loader.construct_object(value, deep=True)
    return table


def _matrix(loader: _Loader, node: yaml.Node) -> object:
    """OpenCV's ``rows, cols, dt, data`` as a list of rows."""
    table = _mapping(loader, node) if isinstance(node, yaml.MappingNode) else {}
    try:
        return _rows(table.get("rows"), table.get("cols"), table.get("data"))
    except ValueError as error:
        raise _DamagedYamlError(str(error), node.start_mark) from error


def _rows(rows: object, columns: object, data: object) -> list[list[object]]:
    """A matrix of OpenCV's as a list of rows; `ValueError` where its sides are not those of its numbers."""
    values = data if isinstance(data, list) else []
    if (
        not isinstance(rows, int)
        or not isinstance(columns, int)
        or not (0 <= rows <= len(values) and rows * columns == len(values))
    ):
        raise ValueError(f"a matrix of {short(rows)} x {short(columns)} has {len(values)} numbers")
    return [values[row * columns : (row + 1) * columns] for row in range(rows)]


def _with_rows(value: object) -> object:
    """The same tree with OpenCV's matrices as rows also where they are not marked, as in JSON and in ROS's YAML."""
    if isinstance(value, list):
        return [_with_rows(one) for one in value]
    if not isinstance(value, dict):
        return value
    with suppress(ValueError):
        return _rows(value.get("rows"), value.get("cols"), value.get("data"))
    return {key: _with_rows(one) for key, one in value.items()}


def _float(_: _Loader, node: yaml.ScalarNode) -> float:
    # Python knows YAML's `.inf` and `.nan` without their dots, and everything else as it is.
    return float(re.sub(r"\.(?=inf|nan)", "", node.value.lower()))


KINDS = ("str", "seq", "int", "bool", "null")
# Nothing else is constructed: no dates, sets or bytes, which no calibration has.
_Loader.yaml_constructors = {
    **{f"tag:yaml.org,2002:{kind}": yaml.SafeLoader.yaml_constructors[f"tag:yaml.org,2002:{kind}"] for kind in KINDS},
    None: yaml.SafeLoader.yaml_constructors[None],
}
# As YAML 1.2 has them: `no` and `1:30` are texts, `1e-5` is a number, `01` may be the name of a camera.
_Loader.yaml_implicit_resolvers = {}
for _kind, _pattern, _starts in (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,39})", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.(?i:inf)|\.(?i:nan)",
     "-+.0123456789"),
):  # fmt: skip
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})$"), [*_starts])
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"$"), [""])
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:opencv-matrix", _matrix)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)


def _yaml(text: str, path: Path) -> object:
    if len(text) > MOST_YAML_BYTES:
        raise InputError(f"{path}: has {len(text):,} letters; a calibration in YAML has at most {MOST_YAML_BYTES:,}.")
    # OpenCV's first line is no directive of YAML's.
    body = re.sub(r"\A\s*%YAML[^\n]*", "", text)
    try:
        _refuse_deep_yaml(body)
        return yaml.load(body, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = "" if mark is None else f" at line {mark.line + 1}"
        raise InputError(f"{path}: is no YAML that we read{place} ({error.problem}).") from error
    except (yaml.YAMLError, ValueError, KeyError) as error:
        raise InputError(f"{path}: is no YAML that we read ({' '.join(str(error).split())}).") from error
    except RecursionError as error:
        raise InputError(f"{path}: is nested too deeply to be one of our formats.") from error


def _xml(data: bytes, path: Path) -> ElementTree.Element:
    plain = data.replace(b"\0", b"")
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
        raise InputError(f"{path}: declares entities, which no calibration needs.")
    try:
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise InputError(f"{path}: is no XML ({error}).") from error


def _of_opencv(element: ElementTree.Element, path: Path, depth: int = 0) -> object:
    """What an element of OpenCV's XML holds: matrices as rows, lists of ``<_>``, objects, numbers and texts."""
    if depth > DEEPEST:
        raise InputError(f"{path}: is nested too deeply to be one of our formats.")
    if element.get("type_id") == "opencv-matrix":
        parts = {child.tag: _words(child.text) for child in element}
        data = parts.get("data")
        try:
            return _rows(parts.get("rows"), parts.get("cols"), data if isinstance(data, list) else [data])
        except ValueError as error:
            raise InputError(f"{path}: {element.tag}: {error}.") from error
    children = list(element)
    if not children:
        return _words(element.text)
    if all(child.tag == "_" for child in children):
        return [_of_opencv(child, path, depth + 1) for child in children]
    table: dict[str, object] = {}
    for child in children:
        if child.tag in table:
            raise InputError(f"{path}: {child.tag!r} is there twice.")
        table[child.tag] = _of_opencv(child, path, depth + 1)
    return table


def _words(text: str | None) -> object:
    """A number, a list of words of which some are numbers, or a text in quotes."""
    quoted = re.findall(r'"([^"]*)"|(\S+)', text or "")
    values = [_number_or_word(plain) if plain else inner for inner, plain in quoted]
    return values[0] if len(values) == 1 else values


def _number_or_word(word: str) -> float | int | str:
    for kind in (int, number_of):
        try:
            return kind(word) if "_" not in word and len(word) < MOST_DIGITS else word
        except ValueError:
            continue
    return {".Nan": math.nan, ".Inf": math.inf, "-.Inf": -math.inf}.get(word, word)


def _not_too_deep(value: object, path: Path) -> object:
    """The same value; `InputError` where its lists and objects are nested deeper than any calibration's."""
    layer = [value]
    for _ in range(DEEPEST):
        layer = [inner for outer in layer for inner in _inside(outer)]
        if not layer:
            return value
    raise InputError(f"{path}: is nested too deeply to be one of our formats.")


def _inside(value: object) -> Sequence[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()
