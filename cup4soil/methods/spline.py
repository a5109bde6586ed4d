"""The equal-area quadratic spline: a smooth curve of depth through the means of a profile's layers.

Bishop, T. F. A., McBratney, A. B. and Laslett, G. M. (1999): Modelling soil attribute depth functions with equal-area
quadratic smoothing splines. Geoderma 91, 27-45; Malone, B. P. et al. (2009): Mapping continuous depth functions of
soil carbon storage and available water capacity. Geoderma 154, 138-152.

Of all curves f it is the one that makes

    1/n sum_i (y_i - mean of f over layer i)^2 + smoothing * integral of f'(x)^2 dx

smallest. It is quadratic within layers, linear between them, and smooth where they meet; its slope is zero at the top
and at the bottom. With slopes b_i at the lower edge of layer i (constant over the gap below it), thicknesses d_i and
gaps g_i, the means s_i of f over the layers satisfy

    6 (s_{i+1} - s_i) = d_i b_{i-1} + (2 d_i + 2 d_{i+1} + 6 g_i) b_i + d_{i+1} b_{i+1},   in short  6 Q s = R b,

the integral is b' R b / 6, and the optimum is (1 + 6 n smoothing Q' R^-1 Q) s = y. As the smoothing goes to 0 the mass
of every layer is kept exactly; the sum of all layers' departures is 0 for any smoothing.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidInput

SMOOTHING = 0.1

type _Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EqualAreaSpline:
    """Curves of k values over depth, in segments (layers and the gaps between them) from the top down.

    Segment j begins at ``start_cm[j]`` and is ``thickness_cm[j]`` thick; there the curves are
    ``value[j] + slope[j] t + curvature[j] t^2 / 2`` at t cm below its start; these are (segments, k).
    """

    start_cm: _Floats
    thickness_cm: _Floats
    value: _Floats
    slope: _Floats
    curvature: _Floats

    @classmethod
    def fit(cls, upper_cm: _Floats, lower_cm: _Floats, values: _Floats, smoothing: float = SMOOTHING) -> Self:
        """The spline of n layers, in order and without overlap: depths (n,), means ``values`` (n, k).

        Raises:
            InvalidInput: when there is no layer, or the smoothing is negative.
        """
        if not (smoothing >= 0.0 and np.isfinite(smoothing)):
            raise InvalidInput(f"smoothing {smoothing:g}", "give a number from 0, such as 0.1")
        if upper_cm.size == 0:
            raise InvalidInput("a spline of no layers", "give at least one layer")
        thickness = lower_cm - upper_cm
        gap = np.maximum(upper_cm[1:] - lower_cm[:-1], 0.0)
        means, inner = _solve(thickness, gap, values, smoothing)
        edge = np.zeros((1, values.shape[1]))
        above, below = np.concatenate([edge, inner]), np.concatenate([inner, edge])
        first = means - thickness[:, None] * (above / 3.0 + below / 6.0)
        last = first + thickness[:, None] * (above + below) / 2.0
        layers = (upper_cm, thickness, first, above, (below - above) / thickness[:, None])
        gaps = (lower_cm[:-1], gap, last[:-1], inner, np.zeros_like(inner))
        return cls(*(np.concatenate(pair) for pair in zip(layers, gaps, strict=True)))

    def mean(self, upper_cm: float, lower_cm: float) -> _Floats:
        """Means of the curves, (k,), over that part of the interval that they reach; NaN when they reach none."""
        begin = np.clip(upper_cm - self.start_cm, 0.0, self.thickness_cm)[:, None]
        end = np.clip(lower_cm - self.start_cm, 0.0, self.thickness_cm)[:, None]
        reached = float(np.sum(end - begin))
        area = (
            self.value * (end - begin)
            + self.slope * (end**2 - begin**2) / 2.0
            + self.curvature * (end**3 - begin**3) / 6.0
        )
        total: _Floats = area.sum(axis=0)
        return total / reached if reached > 0.0 else np.full(self.value.shape[1], np.nan)


def _solve(thickness: _Floats, gap: _Floats, values: _Floats, smoothing: float) -> tuple[_Floats, _Floats]:
    """Means over the layers, (n, k), and slopes at the n - 1 inner edges."""
    count = thickness.size
    if count == 1:
        return values, np.empty((0, values.shape[1]))
    difference = np.diff(np.eye(count), axis=0)
    stiffness = np.diag(2.0 * (thickness[:-1] + thickness[1:]) + 6.0 * gap)
    stiffness += np.diag(thickness[1:-1], 1) + np.diag(thickness[1:-1], -1)
    slopes_of_means: _Floats = np.linalg.solve(stiffness, 6.0 * difference)
    system = np.eye(count) + count * smoothing * difference.T @ slopes_of_means
    means: _Floats = np.linalg.solve(system, values)
    slopes: _Floats = slopes_of_means @ means
    return means, slopes
