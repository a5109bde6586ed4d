"""Position of places within the relief around them: arrays of elevation (m) in, arrays out, NaN where missing."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

type Array = NDArray[np.float32]

# Below this slope a surface faces nowhere that can be told.
_LEVEL_DEG = 0.01


def facing(slope_deg: Array, aspect_deg: Array) -> tuple[Array, Array]:
    """Northness and eastness: cosine and sine of the aspect (clockwise from north), 0 on level ground."""
    angle, level = np.deg2rad(aspect_deg), slope_deg < _LEVEL_DEG
    missing = np.isnan(slope_deg)
    north, east = (np.where(level, 0.0, each) for each in (np.cos(angle), np.sin(angle)))
    nothing = np.float32(np.nan)
    return np.where(missing, nothing, north).astype(np.float32), np.where(missing, nothing, east).astype(np.float32)


def position_index(elevation: Array, radius: int) -> Array:
    """Topographic position index: elevation above the mean of the square of ``2 radius + 1`` cells around.

    After Weiss (2001); missing cells and those beyond the edge do not count.
    """
    known = np.isfinite(elevation)
    # Heights above their mean keep the sums small, and so exact enough.
    level = float(elevation[known].mean()) if known.any() else 0.0
    heights = np.where(known, elevation - level, 0.0).astype(np.float64)
    size = 2 * radius + 1
    total = ndimage.uniform_filter(heights, size, mode="constant")
    share = ndimage.uniform_filter(known.astype(np.float64), size, mode="constant")
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / share
    return np.where(known, heights - mean, np.nan).astype(np.float32)


def relative_height(elevation: Array, radius: int) -> Array:
    """Height between the lowest (0) and the highest (1) cell of the square around; 0.5 where all are level."""
    known, size = np.isfinite(elevation), 2 * radius + 1
    low = ndimage.minimum_filter(np.where(known, elevation, np.inf), size, mode="constant", cval=np.inf)
    high = ndimage.maximum_filter(np.where(known, elevation, -np.inf), size, mode="constant", cval=-np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (elevation - low) / (high - low)
    return np.where(known, np.where(high > low, share, 0.5), np.nan).astype(np.float32)


def extended(elevation: Array, cells: int) -> Array:
    """Elevation continued ``cells`` beyond what is known, so that a surface can be fitted at its border, too.

    Each cell beside known ones gets the mean of the straight lines through the two next ones in the eight directions;
    where only the first is known, its height.
    """
    heights = elevation.astype(np.float64)
    for _ in range(cells):
        lines, levels = _continued(heights)
        with np.errstate(invalid="ignore"):
            beside = np.where(lines[1] > 0, lines[0] / np.maximum(lines[1], 1), levels[0] / np.maximum(levels[1], 1))
        heights = np.where(np.isnan(heights) & (levels[1] > 0), beside, heights)
    return heights.astype(np.float32)


def _continued(heights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and number over the directions of the lines continued, and of the heights beside."""
    padded = np.pad(heights, 2, constant_values=np.nan)
    rows, cols = heights.shape
    lines, levels = np.zeros((2, rows, cols)), np.zeros((2, rows, cols))
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            if down or across:
                near, far = (
                    padded[2 + n * down : 2 + n * down + rows, 2 + n * across : 2 + n * across + cols] for n in (1, 2)
                )
                for total, value in ((lines, 2 * near - far), (levels, near)):
                    known = np.isfinite(value)
                    total[0] += np.where(known, value, 0.0)
                    total[1] += known
    return lines, levels


def roughness(elevation: Array) -> Array:
    """Largest difference (m) to one of the eight cells around (Dartnell 2000), as far as they are known."""
    known = np.isfinite(elevation)
    high = ndimage.maximum_filter(np.where(known, elevation, -np.inf), 3, mode="constant", cval=-np.inf)
    low = ndimage.minimum_filter(np.where(known, elevation, np.inf), 3, mode="constant", cval=np.inf)
    return np.where(known, np.maximum(high - elevation, elevation - low), np.nan).astype(np.float32)


def slope_percent(elevation: Array, cell_m: float) -> Array:
    """Slope (%) by Horn's differences; beyond the edge and where missing a neighbour counts as the cell itself."""
    padded = np.pad(elevation.astype(np.float64), 1, constant_values=np.nan)
    rows, cols = elevation.shape
    centre = padded[1:-1, 1:-1]

    def at(row: int, col: int) -> NDArray[np.float64]:
        near = padded[1 + row : 1 + row + rows, 1 + col : 1 + col + cols]
        return np.where(np.isnan(near), centre, near)

    east = at(-1, 1) + 2 * at(0, 1) + at(1, 1) - at(-1, -1) - 2 * at(0, -1) - at(1, -1)
    south = at(1, -1) + 2 * at(1, 0) + at(1, 1) - at(-1, -1) - 2 * at(-1, 0) - at(-1, 1)
    return (100 * np.hypot(east, south) / (8 * cell_m)).astype(np.float32)
