"""Which Sentinel-2 observations are valid, and which of them show bare soil.

Rules of DLR's SCMaP processor in its operational form of 2026 (openEO process ``scmap_composite``);
the index PVIR2 is from Heiden et al. 2022, Remote Sensing 14, 4526.
"""

import numpy as np
from numpy.typing import NDArray

from cup4soil.methods.scene_kernels import mark_invalid

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")

# Sen2Cor scene classification: no data, defective, dark, shadow, unclassified, three kinds of cloud, snow.
INVALID_CLASSES = (0, 1, 2, 3, 7, 8, 9, 10, 11)
DILATED_CLASSES = (3, 8, 9, 10)
DILATION_CELLS = 11
DILATION_MARGIN = DILATION_CELLS // 2
MAX_SUN_ZENITH_DEG = 70.0

_INVALID = np.isin(np.arange(256), INVALID_CLASSES)
_DILATED = np.isin(np.arange(256), DILATED_CLASSES).astype(np.uint8)


def invalid_scl(scl: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Cells of a scene classification (20 m) that must not be used.

    These are the invalid classes, and every cell within 11 x 11 cells around cloud or shadow. ``scl`` reaches
    ``DILATION_MARGIN`` cells beyond the result on every side, so that clouds beyond a block's border count.
    """
    rows, cols = (n - 2 * DILATION_MARGIN for n in scl.shape)
    invalid = np.empty((rows, cols), dtype=np.bool_)
    mark_invalid(scl, _INVALID, _DILATED, DILATION_MARGIN, invalid)
    return invalid


def pvir2(b04: NDArray[np.floating], b08: NDArray[np.floating], b12: NDArray[np.floating]) -> NDArray[np.float64]:
    """PVIR2 = (B08-B04)/(B08+B04) + (B08-B12)/(B08+B12), NaN where a sum is not positive; float64.

    Soil and other surfaces without green leaves are low, vegetation high.
    """
    red, nir, swir = (np.asarray(band, dtype=np.float64) for band in (b04, b08, b12))
    with np.errstate(divide="ignore", invalid="ignore"):
        index = (nir - red) / (nir + red) + (nir - swir) / (nir + swir)
        computable = (nir + red > 0) & (nir + swir > 0)
    return np.where(computable, index, np.nan)
