"""Points and rays of several views: weighted DLT, midpoint, robust, by consensus; distances of rays.

All functions are batched over leading axes and differentiable. Triangulation ignores views whose weight is 0; a point
with fewer than two views of positive weight has no position: NaN, never a guess.
"""

from dispose.geometry.triangulation.linear import (
    rotate,
    solve_symmetric,
    triangulate_algebraic,
    triangulate_algebraic_svd,
    triangulate_midpoint,
)
from dispose.geometry.triangulation.robust import (
    dlt_of_sights,
    ransac_of_sights,
    robust_of_sights,
    triangulate_dlt,
    triangulate_ransac,
    triangulate_robust,
)
from dispose.geometry.triangulation.sights import (
    BySights,
    RobustPoints,
    ray_distance,
    reprojection_error,
    triangulate_points,
)

__all__ = [
    "BySights",
    "RobustPoints",
    "dlt_of_sights",
    "ransac_of_sights",
    "ray_distance",
    "reprojection_error",
    "robust_of_sights",
    "rotate",
    "solve_symmetric",
    "triangulate_algebraic",
    "triangulate_algebraic_svd",
    "triangulate_dlt",
    "triangulate_midpoint",
    "triangulate_points",
    "triangulate_ransac",
    "triangulate_robust",
]
