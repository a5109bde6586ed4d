"""Where water flows: contributing area and topographic wetness of a whole elevation model."""

import numpy as np
from numpy.typing import NDArray

from cup4soil.methods.flow_kernels import accumulate, fill_and_order

# Freeman (1991), Computers & Geosciences 17, 413-422.
EXPONENT = 1.1
# Rise from cell to cell where a depression was filled: enough to drain, too little to matter.
GRADIENT_M = 1e-5
# Wetness is not bounded on level ground: the slope counts as at least this.
LEAST_SLOPE = 1e-3


def contributing_area(
    elevation: NDArray[np.floating], cell_m: float, exponent: float = EXPONENT
) -> NDArray[np.float64]:
    """Area (m2) that drains through each cell, its own among it; NaN where elevation is.

    ``elevation`` (m) is (rows, columns) of square cells with edges of ``cell_m``. Depressions are filled first. Water
    leaves at the edge and beside missing cells: what flows in from outside is not known, so that values of rivers
    which enter there are too small.
    """
    filled, order = fill_and_order(np.ascontiguousarray(elevation, dtype=np.float64), GRADIENT_M)
    cells = accumulate(filled, order, exponent)
    return np.where(np.isnan(filled), np.nan, cells * cell_m**2)


def topographic_wetness(
    area_m2: NDArray[np.floating], slope_deg: NDArray[np.floating], cell_m: float
) -> NDArray[np.float64]:
    """ln(a / tan slope) with the area a per metre of contour (Beven and Kirkby 1979, Hydrol. Sci. Bull. 24, 43-69).

    Slopes below 0.1 % count as 0.1 %.
    """
    tangent = np.maximum(np.tan(np.deg2rad(slope_deg)), LEAST_SLOPE)
    return np.asarray(np.log(area_m2 / cell_m / tangent), dtype=np.float64)
