"""Semivariograms: how alike neighbours are, of samples and of what a map leaves unexplained.

Residuals without spatial structure (a pure nugget) say that the covariates have explained what is spatial;
residuals as structured as the samples say that they have not.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar, nnls
from scipy.spatial.distance import cdist

from cup4soil.errors import InvalidInput, InvalidSamples

MOST_ROWS = 10_000
_BLOCK = 1000
_RANGES = 60

type Estimator = Literal["matheron", "cressie"]
type Form = Literal["spherical", "exponential"]
type _Floats = NDArray[np.float64]

_ESTIMATORS: tuple[Estimator, ...] = ("matheron", "cressie")
_FORMS: tuple[Form, ...] = ("spherical", "exponential")


@dataclass(frozen=True, slots=True)
class Variogram:
    """Semivariance by distance class: ``distance`` (the mean of the pairs), ``semivariance`` and ``pairs``, (b,).

    Classes without a pair are left out. ``n``: rows used; ``cutoff``: largest distance of a pair.
    """

    n: int
    estimator: Estimator
    cutoff: float
    distance: _Floats
    semivariance: _Floats
    pairs: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class VariogramModel:
    """``nugget`` + ``partial_sill`` x shape(distance / ``range``); ``sse``: weighted sum of squares of the fit.

    Spherical: 1.5 h - 0.5 h^3 up to 1, constant beyond. Exponential: 1 - exp(-h), 95 % of its sill at three
    times its range parameter: ``effective_range``.
    """

    form: Form
    nugget: float
    partial_sill: float
    range: float
    sse: float

    @property
    def effective_range(self) -> float:
        """Distance at which neighbours are (to 95 %) no more alike than any two."""
        return self.range if self.form == "spherical" else 3.0 * self.range

    @property
    def nugget_share(self) -> float:
        """Share of the sill that is nugget: 1 without spatial structure; NaN for no variance at all."""
        sill = self.nugget + self.partial_sill
        return self.nugget / sill if sill > 0.0 else float("nan")

    def semivariance(self, distance: ArrayLike) -> _Floats:
        """Semivariance at ``distance``, 0 at 0."""
        h = np.asarray(distance, np.float64)
        found: _Floats = np.where(h > 0.0, self.nugget + self.partial_sill * _shape(self.form, h / self.range), 0.0)
        return found


def empirical_variogram(
    x: ArrayLike,
    y: ArrayLike,
    values: ArrayLike,
    *,
    classes: int = 15,
    cutoff: float | None = None,
    estimator: Estimator = "matheron",
    seed: int = 0,
) -> Variogram:
    """Semivariogram of ``values`` (n,) at ``x``, ``y`` (n,) in one projected CRS, over all directions.

    "matheron" is half the mean squared difference of the pairs of a class; "cressie" the robust estimator of
    Cressie & Hawkins (1980, Math. Geol. 12, 115), 0.5 (mean |d|^0.5)^4 / (0.457 + 0.494 / N), on which few
    outliers weigh less. ``cutoff`` is a third of the extent's diagonal by default, cut into ``classes`` of equal
    width. Rows with a NaN are left out, pairs at one place too; of more than 10 000 rows as many are drawn.

    Raises:
        InvalidInput: when shapes do not agree, or classes, cutoff or estimator are none.
        InvalidSamples: when no pair of different places lies within the cutoff.
    """
    if classes < 1 or estimator not in _ESTIMATORS or not (cutoff is None or (np.isfinite(cutoff) and cutoff > 0)):
        raise InvalidInput(
            f"{classes} classes up to {cutoff} by {estimator!r}",
            "give 1 or more, a length, and 'matheron' or 'cressie'",
        )
    places, z = _rows(x, y, values, seed)
    reach = float(np.hypot(*np.ptp(places, axis=0))) / 3.0 if cutoff is None and len(z) else float(cutoff or 0.0)
    sums = np.zeros((3, classes))
    for first in range(0, len(z), _BLOCK):
        for other in range(first, len(z), _BLOCK):
            sums += _sums(places, z, first, other, reach, classes, estimator)
    pairs, distance, moment = sums[:, sums[0] > 0]
    if not pairs.size:
        raise InvalidSamples(f"no two of {len(z)} places within {reach:g}", "give more samples, or a larger cutoff")
    mean = moment / pairs
    semivariance = mean / 2.0 if estimator == "matheron" else 0.5 * mean**4 / (0.457 + 0.494 / pairs)
    return Variogram(len(z), estimator, reach, distance / pairs, semivariance, pairs.astype(np.int64))


def fit_variogram(variogram: Variogram, form: Form | None = None) -> VariogramModel:
    """Model of ``form``, or the one of the two that fits better, by least squares weighted with pairs / distance^2.

    (The weights are gstat's default.) For each range nugget and partial sill follow by non-negative least squares;
    the range is searched between a tenth of the first class's distance and three times the cutoff. Without spatial
    structure the partial sill is 0 and the range means nothing.

    Raises:
        InvalidInput: when the form is neither "spherical" nor "exponential".
        InvalidSamples: when there are fewer than three classes.
    """
    if form is not None and form not in _FORMS:
        raise InvalidInput(f"a variogram of form {form!r}", "give 'spherical' or 'exponential'")
    if variogram.distance.size < 3:
        raise InvalidSamples(f"{variogram.distance.size} classes of distance", "give at least three, or more samples")
    return min((_fitted(variogram, each) for each in (_FORMS if form is None else (form,))), key=lambda m: m.sse)


def _rows(x: ArrayLike, y: ArrayLike, values: ArrayLike, seed: int) -> tuple[_Floats, _Floats]:
    columns = [np.asarray(column, np.float64) for column in (x, y, values)]
    if any(column.ndim != 1 or column.shape != columns[0].shape for column in columns):
        raise InvalidInput(f"columns of shapes {[column.shape for column in columns]}", "give one of each per row")
    table = np.column_stack(columns)
    table = table[np.isfinite(table).all(axis=1)]
    if len(table) > MOST_ROWS:
        table = table[np.sort(np.random.default_rng(seed).choice(len(table), MOST_ROWS, replace=False))]
    return table[:, :2], table[:, 2]


def _sums(
    places: _Floats, z: _Floats, first: int, other: int, reach: float, classes: int, estimator: Estimator
) -> _Floats:
    """Pairs, their distances and their differences' moment summed by class, (3, classes), for two blocks of rows."""
    a, b = slice(first, first + _BLOCK), slice(other, other + _BLOCK)
    distance = cdist(places[a], places[b])
    wanted = (distance > 0.0) & (distance <= reach)
    if first == other:
        wanted &= np.tri(*distance.shape, -1, dtype=np.bool_)
    h = distance[wanted]
    difference = np.abs(z[a][:, None] - z[b][None])[wanted]
    moment = difference**2 if estimator == "matheron" else np.sqrt(difference)
    # Classes are open below and closed above, so that a pair at the cutoff lies in the last.
    place = np.minimum(np.ceil(h / reach * classes).astype(np.int64) - 1, classes - 1) if h.size else h.astype(np.int64)
    columns = (np.ones_like(h), h, moment)
    return np.stack([np.bincount(place, weights=column, minlength=classes) for column in columns])


def _shape(form: Form, h: _Floats) -> _Floats:
    if form == "exponential":
        return -np.expm1(-h)
    inside = np.minimum(h, 1.0)
    return 1.5 * inside - 0.5 * inside**3


def _fitted(variogram: Variogram, form: Form) -> VariogramModel:
    h, gamma = variogram.distance, variogram.semivariance
    root = np.sqrt(variogram.pairs) / h

    def solve(log_range: float) -> tuple[float, float, float]:
        design = np.column_stack([np.ones_like(h), _shape(form, h / np.exp(log_range))])
        (nugget, sill), rest = nnls(design * root[:, None], gamma * root)
        return float(rest) ** 2, float(nugget), float(sill)

    ranges = np.linspace(np.log(h[0] / 10.0), np.log(3.0 * variogram.cutoff), _RANGES)
    best = int(np.argmin([solve(each)[0] for each in ranges]))
    bounds = (ranges[max(best - 1, 0)], ranges[min(best + 1, _RANGES - 1)])
    found = minimize_scalar(lambda each: solve(each)[0], bounds=bounds, method="bounded", options={"xatol": 1e-6})
    log_range = min((float(found.x), float(ranges[best])), key=lambda each: solve(each)[0])
    sse, nugget, sill = solve(log_range)
    return VariogramModel(form, nugget, sill, float(np.exp(log_range)), sse)
