"""Reflectance of what covers the ground, in the ten Sentinel-2 bands; typical values of our own."""

import numpy as np
from numpy.typing import NDArray

from cup4soil.methods.bare_soil import BANDS
from cup4soil.methods.bare_soil import pvir2 as _pvir2

RED, NIR, NIR_NARROW, SWIR1, SWIR2 = (BANDS.index(band) for band in ("B04", "B08", "B8A", "B11", "B12"))

# fmt: off
#: Pure covers, ten reflectances each in the order of BANDS; soil is not among them, it differs from cell to cell.
COVERS = {
    "crop": (0.025, 0.060, 0.030, 0.090, 0.310, 0.400, 0.430, 0.450, 0.215, 0.105),
    "flower": (0.045, 0.145, 0.120, 0.180, 0.330, 0.390, 0.420, 0.440, 0.230, 0.120),
    "straw": (0.090, 0.130, 0.170, 0.200, 0.250, 0.280, 0.320, 0.340, 0.400, 0.280),
    "grass": (0.032, 0.065, 0.045, 0.105, 0.260, 0.330, 0.360, 0.380, 0.240, 0.130),
    "dry grass": (0.058, 0.088, 0.115, 0.148, 0.190, 0.214, 0.250, 0.264, 0.335, 0.240),
    "pine": (0.018, 0.030, 0.020, 0.045, 0.130, 0.160, 0.180, 0.190, 0.100, 0.050),
    "leaves": (0.020, 0.045, 0.025, 0.070, 0.270, 0.360, 0.390, 0.410, 0.190, 0.090),
    "bare trees": (0.030, 0.042, 0.048, 0.070, 0.115, 0.140, 0.160, 0.175, 0.180, 0.105),
    "roof": (0.080, 0.105, 0.155, 0.170, 0.185, 0.195, 0.205, 0.215, 0.250, 0.230),
    "asphalt": (0.085, 0.095, 0.105, 0.110, 0.118, 0.124, 0.130, 0.135, 0.155, 0.145),
    "water": (0.030, 0.036, 0.022, 0.018, 0.015, 0.014, 0.012, 0.011, 0.006, 0.004),
}
SNOW = (0.78, 0.79, 0.79, 0.78, 0.77, 0.76, 0.75, 0.73, 0.12, 0.10)
CLOUD = (0.72, 0.72, 0.74, 0.75, 0.77, 0.78, 0.79, 0.80, 0.56, 0.43)
# fmt: on
#: What a haze of strength 1 adds: scattering falls with the wavelength.
HAZE = (0.100, 0.080, 0.064, 0.056, 0.048, 0.042, 0.036, 0.034, 0.010, 0.006)
#: Darkening per unit of surface wetness, the exponent of exp(-rate * wetness).
WETTING = (0.50, 0.50, 0.50, 0.50, 0.48, 0.48, 0.47, 0.47, 0.56, 0.66)


def column(values: tuple[float, ...]) -> NDArray[np.float32]:
    """Ten band values as (10, 1, 1), to be combined with images of shape (10, rows, columns)."""
    return np.asarray(values, dtype=np.float32).reshape(-1, 1, 1)


def pvir2(reflectance: NDArray[np.floating]) -> NDArray[np.float64]:
    """PVIR2 of spectra of shape (10, ...)."""
    return _pvir2(reflectance[RED], reflectance[NIR], reflectance[SWIR2])


def mix(shares: dict[str, NDArray[np.float32]], soil: NDArray[np.float32]) -> NDArray[np.float32]:
    """Linear mixture (10, rows, columns) of the covers by their ``shares``; ``soil`` fills what they leave free.

    Summed in a fixed order, without BLAS, so that the result does not depend on threads.
    """
    free = 1.0 - sum(shares.values())
    mixed = soil * free
    for name, share in shares.items():
        for band, value in enumerate(COVERS[name]):
            mixed[band] += np.float32(value) * share
    return mixed.astype(np.float32, copy=False)


def blurred(image: NDArray[np.float32], weight: float = 0.11) -> NDArray[np.float32]:
    """``image`` (bands, rows, columns) as the sensor sees it: each neighbour gives ``weight`` along each axis."""
    for axis in (1, 2):
        padded = np.take(image, np.clip(np.arange(-1, image.shape[axis] + 1), 0, image.shape[axis] - 1), axis=axis)
        before = np.take(padded, np.arange(image.shape[axis]), axis=axis)
        after = np.take(padded, np.arange(2, image.shape[axis] + 2), axis=axis)
        image = np.float32(1.0 - 2.0 * weight) * image + np.float32(weight) * (before + after)
    return image
