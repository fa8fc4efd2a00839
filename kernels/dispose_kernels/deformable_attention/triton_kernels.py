"""The two device programs of deformable attention. Importing this module needs Triton; `triton_backend` does it late.

One program handles one bag: all points of one head of one query on one level. ``rows`` is the channels-last table of
`native.table`, cut into groups of channels; locations are fractions of the map. A position that is not finite or far
outside is just outside: its four corners are masked.
"""

import triton  # type: ignore[import-not-found]
from triton import language as tl


@triton.jit
def _pixel(fraction, size):
    """Position in pixels, brought to the margin where it reads nothing."""
    pixel = fraction * size - 0.5
    pixel = tl.where(pixel == pixel, pixel, -2.0)
    return tl.minimum(tl.maximum(pixel, -2.0), size + 1.0)


@triton.jit
def _shares(pixel, size):
    """First pixel, the shares of it and the next (0 outside), and whether they are inside."""
    low = tl.floor(pixel)
    first = low.to(tl.int64)
    in_near, in_far = (first >= 0) & (first < size), (first >= -1) & (first < size - 1)
    return first, tl.where(in_near, 1.0 - (pixel - low), 0.0), tl.where(in_far, pixel - low, 0.0), in_near, in_far


@triton.jit
def _row(map_number, y, x, height, width):
    """Number of a pixel; one outside is brought inside, its share is 0."""
    y = tl.minimum(tl.maximum(y, 0), height - 1)
    x = tl.minimum(tl.maximum(x, 0), width - 1)
    return (map_number * height + y) * width + x


@triton.jit
def forward(  # noqa: PLR0913  a device program takes pointers, not records
    rows, map_of, location, weight, total, coverage,
    height, width, heads, groups,
    POINTS: tl.constexpr, CHANS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """``total[bag] = sum over points and corners of share x row``, ``coverage[bag]`` the sum of the shares."""
    bag = tl.program_id(0).to(tl.int64)
    map_number = tl.load(map_of + bag // heads).to(tl.int64)
    group = (bag % heads) % groups
    chan = tl.arange(0, BLOCK)
    real = chan < CHANS
    sums = tl.zeros((BLOCK,), tl.float32)
    inside = 0.0
    for point in range(POINTS):
        at = bag * POINTS + point
        x = _pixel(tl.load(location + 2 * at).to(tl.float32), width)
        y = _pixel(tl.load(location + 2 * at + 1).to(tl.float32), height)
        x0, x_near, x_far, x_in_near, x_in_far = _shares(x, width)
        y0, y_near, y_far, y_in_near, y_in_far = _shares(y, height)
        strength = tl.load(weight + at).to(tl.float32)
        for corner in tl.static_range(4):
            share = strength * (y_far if corner // 2 else y_near) * (x_far if corner % 2 else x_near)
            row = _row(map_number, y0 + corner // 2, x0 + corner % 2, height, width) * groups + group
            hit = (x_in_far if corner % 2 else x_in_near) & (y_in_far if corner // 2 else y_in_near)
            read = tl.load(rows + row * CHANS + chan, mask=real & hit, other=0.0)
            sums += share * read.to(tl.float32)
            inside += share
    tl.store(total + bag * CHANS + chan, sums.to(total.dtype.element_ty), mask=real)
    tl.store(coverage + bag, inside)


@triton.jit
def backward(  # noqa: PLR0913
    rows, map_of, location, weight, for_total, for_coverage, for_location, for_weight, for_rows,
    height, width, heads, groups,
    POINTS: tl.constexpr, CHANS: tl.constexpr, BLOCK: tl.constexpr, WITH_ROWS: tl.constexpr,
):  # fmt: skip
    """Gradients for locations and weights, and added up atomically for the rows where they are wanted."""
    bag = tl.program_id(0).to(tl.int64)
    map_number = tl.load(map_of + bag // heads).to(tl.int64)
    group = (bag % heads) % groups
    chan = tl.arange(0, BLOCK)
    real = chan < CHANS
    slope = tl.load(for_total + bag * CHANS + chan, mask=real, other=0.0).to(tl.float32)
    constant = tl.load(for_coverage + bag).to(tl.float32)
    for point in range(POINTS):
        at = bag * POINTS + point
        x = _pixel(tl.load(location + 2 * at).to(tl.float32), width)
        y = _pixel(tl.load(location + 2 * at + 1).to(tl.float32), height)
        x0, x_near, x_far, x_in_near, x_in_far = _shares(x, width)
        y0, y_near, y_far, y_in_near, y_in_far = _shares(y, height)
        strength = tl.load(weight + at).to(tl.float32)
        along_x, along_y, along_weight = 0.0, 0.0, 0.0
        for corner in tl.static_range(4):
            share_x, share_y = (x_far if corner % 2 else x_near), (y_far if corner // 2 else y_near)
            hit = (x_in_far if corner % 2 else x_in_near) & (y_in_far if corner // 2 else y_in_near)
            row = _row(map_number, y0 + corner // 2, x0 + corner % 2, height, width) * groups + group
            read = tl.load(rows + row * CHANS + chan, mask=real & hit, other=0.0).to(tl.float32)
            dot = tl.where(hit, tl.sum(slope * read, 0) + constant, 0.0)
            along_weight += share_x * share_y * dot
            along_x += share_y * (dot if corner % 2 else -dot)
            along_y += share_x * (dot if corner // 2 else -dot)
            if WITH_ROWS:
                tl.atomic_add(for_rows + row * CHANS + chan, strength * share_x * share_y * slope, mask=real & hit)
        tl.store(for_location + 2 * at, strength * along_x * width)
        tl.store(for_location + 2 * at + 1, strength * along_y * height)
        tl.store(for_weight + at, along_weight)
