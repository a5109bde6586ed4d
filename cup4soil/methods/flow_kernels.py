"""Compiled loops of flow routing: depressions filled, flow divided among the lower neighbours."""

import heapq
import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

_ROWS = (-1, -1, -1, 0, 0, 1, 1, 1)
_COLS = (-1, 0, 1, -1, 1, -1, 0, 1)


@njit(cache=True, nogil=True)
def fill_and_order(
    elevation: NDArray[np.float64], gradient_m: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:  # pragma: no cover
    """Elevation (rows, columns) raised until every cell drains, and the cells with a value from low to high.

    Priority-flood with a gradient on what is raised and flat (Barnes et al. 2014, algorithm 3). Water leaves at the
    edge and beside missing cells (NaN), which are not raised. Cells are flat indices.
    """
    rows, cols = elevation.shape
    filled = np.full((rows, cols), np.nan)
    known = np.zeros((rows, cols), dtype=np.bool_)
    order = np.empty(rows * cols, dtype=np.int64)
    heap = [(0.0, 0)]
    heap.pop()
    for row in range(rows):
        for col in range(cols):
            if math.isnan(elevation[row, col]):
                known[row, col] = True
                continue
            for k in range(8):
                i, j = row + _ROWS[k], col + _COLS[k]
                if i < 0 or j < 0 or i >= rows or j >= cols or math.isnan(elevation[i, j]):
                    known[row, col] = True
                    filled[row, col] = elevation[row, col]
                    heapq.heappush(heap, (elevation[row, col], row * cols + col))
                    break
    count = 0
    while len(heap) > 0:
        height, cell = heapq.heappop(heap)
        order[count] = cell
        count += 1
        row, col = cell // cols, cell % cols
        for k in range(8):
            i, j = row + _ROWS[k], col + _COLS[k]
            if i < 0 or j < 0 or i >= rows or j >= cols or known[i, j]:
                continue
            known[i, j] = True
            filled[i, j] = max(elevation[i, j], height + gradient_m)
            heapq.heappush(heap, (filled[i, j], i * cols + j))
    return filled, order[:count]


@njit(cache=True, nogil=True)
def accumulate(
    filled: NDArray[np.float64], order: NDArray[np.int64], exponent: float
) -> NDArray[np.float64]:  # pragma: no cover
    """Number of cells that drain through each cell, itself among them; 0 where missing.

    A cell hands on to all lower neighbours, in shares of (slope towards them) ** exponent (Freeman 1991).
    """
    rows, cols = filled.shape
    total = np.zeros((rows, cols))
    shares = np.zeros(8)
    for n in range(order.size - 1, -1, -1):
        row, col = order[n] // cols, order[n] % cols
        total[row, col] += 1.0
        whole = 0.0
        for k in range(8):
            shares[k] = 0.0
            i, j = row + _ROWS[k], col + _COLS[k]
            if i < 0 or j < 0 or i >= rows or j >= cols or math.isnan(filled[i, j]):
                continue
            drop = filled[row, col] - filled[i, j]
            if drop > 0.0:
                distance = 1.0 if _ROWS[k] == 0 or _COLS[k] == 0 else math.sqrt(2.0)
                shares[k] = (drop / distance) ** exponent
                whole += shares[k]
        if whole > 0.0:
            for k in range(8):
                if shares[k] > 0.0:
                    total[row + _ROWS[k], col + _COLS[k]] += total[row, col] * shares[k] / whole
    return total


@njit(cache=True, nogil=True)
def share_lower(elevation: NDArray[np.float32], radius: int) -> NDArray[np.float32]:  # pragma: no cover
    """Share of the cells within ``radius`` cells (a disc, without the centre) that lie lower; NaN where missing."""
    rows, cols = elevation.shape
    result = np.full((rows, cols), np.float32(np.nan))
    for row in range(rows):
        for col in range(cols):
            centre = elevation[row, col]
            if math.isnan(centre):
                continue
            lower = known = 0
            for i in range(max(0, row - radius), min(rows, row + radius + 1)):
                for j in range(max(0, col - radius), min(cols, col + radius + 1)):
                    if (i - row) ** 2 + (j - col) ** 2 > radius * radius or (i == row and j == col):
                        continue
                    if not math.isnan(elevation[i, j]):
                        known += 1
                        if elevation[i, j] < centre:
                            lower += 1
            # A cell without neighbours is as low as it is high.
            result[row, col] = lower / known if known else 0.5
    return result
