"""Damage as files meet it, or as somebody makes it on purpose: the bytes of a valid file, changed a little."""

import random
import re

NUMBERS = (
    "-1", "0", "nan", "NaN", "null", "inf", "-Infinity", "1e999", "1e308", "-0.0", "1_000", "0x10", "9" * 30,
    "9" * 5000, "9223372036854775808", "2147483648", "true", '"1"', "1.5", "''", "[]", "{}", "[[1]]",
)  # fmt: skip
"""What takes a number's place."""

TEXTS = (b"", b"\x00", b"\xff", b"\xed\xb3\xbf", b"../../etc", b"<script>", b"%s%n", "é".encode() * 40, b"\n")
"""What takes a name's place."""

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
NAME = re.compile(rb"[A-Za-z_]{2,}")


def mutate(data: bytes, seed: int) -> bytes:
    """A valid file's bytes with one to three things changed; a seed always makes the same."""
    draw = random.Random(seed)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        data = draw.choice(KINDS)(data, draw)
    return data


def flip_bit(data: bytes, draw: random.Random) -> bytes:
    """One bit."""
    if not data:
        return data
    place = draw.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :]


def cut_off(data: bytes, draw: random.Random) -> bytes:
    """Its end is missing."""
    return data[: draw.randrange(len(data) + 1)]


def repeat(data: bytes, draw: random.Random) -> bytes:
    """A piece stands there twice."""
    first = draw.randrange(len(data) + 1)
    last = min(len(data), first + draw.choice((1, 8, 64, 512)))
    return data[:last] + data[first:last] + data[last:]


def leave_out(data: bytes, draw: random.Random) -> bytes:
    """A piece is missing."""
    first = draw.randrange(len(data) + 1)
    return data[:first] + data[first + draw.choice((1, 4, 32, 256)) :]


def overwrite(data: bytes, draw: random.Random) -> bytes:
    """Other bytes stand where some stood."""
    first = draw.randrange(len(data) + 1)
    count = draw.choice((1, 2, 4, 8, 64))
    new = draw.choice((b"\0" * count, b"\xff" * count, draw.randbytes(count)))
    return data[:first] + new + data[first + count :]


def replace_number(data: bytes, draw: random.Random) -> bytes:
    """A number of a text becomes something that is written where numbers are expected."""
    return _replace_one(NUMBER, data, draw.choice(NUMBERS).encode(), draw)


def replace_name(data: bytes, draw: random.Random) -> bytes:
    """A word becomes another text."""
    return _replace_one(NAME, data, draw.choice(TEXTS), draw)


def exchange_lines(data: bytes, draw: random.Random) -> bytes:
    """Two lines change places, or one is missing or there twice."""
    lines = data.split(b"\n")
    one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    kind = draw.randrange(3)
    if kind == 0:
        lines[one], lines[other] = lines[other], lines[one]
    elif kind == 1:
        del lines[one]
    else:
        lines.insert(other, lines[one])
    return b"\n".join(lines)


def nest(data: bytes, draw: random.Random) -> bytes:
    """Brackets in brackets."""
    place = draw.randrange(len(data) + 1)
    opened, closed = draw.choice(((b"[", b"]"), (b"{", b"}"), (b'{"a":', b"}"), (b"<a>", b"</a>"), (b"(", b")")))
    deep = draw.choice((3, 300, 100_000))
    return data[:place] + opened * deep + draw.choice((b"", closed * deep)) + data[place:]


def _replace_one(pattern: re.Pattern[bytes], data: bytes, new: bytes, draw: random.Random) -> bytes:
    found = list(pattern.finditer(data[:200_000]))
    if not found:
        return overwrite(data, draw)
    one = draw.choice(found)
    return data[: one.start()] + new + data[one.end() :]


KINDS = (
    flip_bit, cut_off, repeat, leave_out, overwrite, replace_number, replace_number, replace_number, replace_name,
    exchange_lines, nest,
)  # fmt: skip
"""Numbers are what most files are made of."""
