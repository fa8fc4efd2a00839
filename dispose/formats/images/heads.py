"""Width and height of an image, and of nothing more, from the first bytes of its file: before anything is decoded."""

import struct

Size = tuple[int, int]

JPEG, PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
TIFF_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
TIFF_WIDTH, TIFF_HEIGHT = 256, 257
TIFF_KINDS = {1: "B", 3: "H", 4: "I"}
"""Types of a number in TIFF."""

# Frames of every coding; between them lie tables (C4), JPEG's reserved one (C8) and arithmetic conditioning (CC).
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))


def size_in_head(data: bytes) -> Size | None:
    """Width and height that a PNG, JPEG, BMP, TIFF or WebP says it has; None where it is none or does not say."""
    try:
        if data.startswith(PNG):
            return struct.unpack_from(">II", data, 16)
        if data.startswith(JPEG):
            return _jpeg(data)
        if data.startswith(b"BM"):
            return _bmp(data)
        if data[:4] in TIFF_ORDERS:
            return _tiff(data, TIFF_ORDERS[data[:4]])
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError):
        pass
    return None


def _jpeg(data: bytes) -> Size | None:
    """From the first frame (ISO/IEC 10918-1, B.2.2), segment by segment."""
    place = 2
    while data[place] == 0xFF:
        kind = data[place + 1]
        if kind == 0xFF or kind in JPEG_ALONE:  # a filler, or a marker without a segment
            place += 1 if kind == 0xFF else 2
            continue
        if kind in JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return width, height
        place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    return None


def _bmp(data: bytes) -> Size:
    (head,) = struct.unpack_from("<I", data, 14)
    # OS/2's old head has short numbers; a negative height means rows from the top.
    width, height = struct.unpack_from("<HH" if head == 12 else "<ii", data, 18)
    return width, abs(height)


def _tiff(data: bytes, order: str) -> Size | None:
    """From the first directory (TIFF 6.0, section 2)."""
    (first,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, first)
    told: dict[int, int] = {}
    for place in range(first + 2, first + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", data, place)
        if tag in (TIFF_WIDTH, TIFF_HEIGHT) and kind in TIFF_KINDS:
            told[tag] = struct.unpack_from(order + TIFF_KINDS[kind], data, place + 8)[0]
    return (told[TIFF_WIDTH], told[TIFF_HEIGHT]) if len(told) == 2 else None


def _webp(data: bytes) -> Size | None:
    """From the first chunk: lossy, lossless, or one that says what follows."""
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None
