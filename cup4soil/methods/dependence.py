"""Partial dependence: what the forest says when one feature is varied and the others stay as they are.

Friedman (2001, Ann. Stat. 29, 1189), with the spread of the single curves behind the mean (Goldstein et al. 2015,
J. Comput. Graph. Stat. 24, 44): where the band is wide, the effect depends on the other features. Features
that go together in nature are varied apart, so that corners of the curves may lie where nothing was sampled.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cup4soil.errors import InvalidInput, InvalidSamples

BAND = (0.05, 0.95)
_ENDS = (0.02, 0.98)

type _Floats = NDArray[np.float64]
type Predict = Callable[[NDArray[np.float32]], NDArray[np.floating]]


@dataclass(frozen=True, slots=True)
class Dependence:
    """Effect of one feature: at each of ``values`` (p,), the mean and the band of what is predicted for the rows.

    ``lower`` and ``upper`` bound 90 % of the rows' curves.
    """

    name: str
    values: _Floats
    mean: _Floats
    lower: _Floats
    upper: _Floats


def partial_dependence(
    predict: Predict,
    features: ArrayLike,
    names: Sequence[str],
    chosen: Sequence[str],
    *,
    points: int = 20,
    rows: int = 200,
    seed: int = 0,
) -> tuple[Dependence, ...]:
    """Dependence of ``predict`` on each of the ``chosen`` of ``names`` (f,), over ``features`` (n, f).

    ``predict`` takes features (m, f) and gives (m,), the mean or a quantile; it is called once for each
    feature. The values are quantiles of the feature from 0.02 to 0.98, all its values where they are at most
    ``points``. Of more than ``rows`` rows as many are drawn.

    Raises:
        InvalidInput: when shapes do not agree, a name is unknown, or points or rows are fewer than two.
        InvalidSamples: when a feature is not finite.
    """
    x = np.asarray(features, np.float32)
    if x.ndim != 2 or x.shape[1] != len(names):
        raise InvalidInput(f"features of shape {x.shape} for {len(names)} names", "give a name for each column")
    if points < 2 or rows < 2:
        raise InvalidInput(f"{points} points and {rows} rows", "give at least two of each")
    for name in chosen:
        if name not in names:
            raise InvalidInput(f"no feature {name!r}", f"choose among {', '.join(names)}")
    if not len(x) or not np.isfinite(x).all():
        raise InvalidSamples("no samples, or a feature that is not finite", "leave such samples out")
    drawn = x
    if len(x) > rows:
        drawn = x[np.sort(np.random.default_rng(seed).choice(len(x), rows, replace=False))]
    return tuple(_dependence(predict, x, drawn, list(names).index(name), name, points) for name in chosen)


def _dependence(
    predict: Predict, x: NDArray[np.float32], drawn: NDArray[np.float32], column: int, name: str, points: int
) -> Dependence:
    values = np.unique(x[:, column])
    if values.size > points:
        values = np.unique(np.quantile(x[:, column], np.linspace(*_ENDS, points)).astype(np.float32))
    varied = np.repeat(drawn[None], values.size, axis=0)
    varied[:, :, column] = values[:, None]
    found = np.asarray(predict(varied.reshape(-1, x.shape[1])), np.float64).reshape(values.size, len(drawn))
    lower, upper = np.quantile(found, BAND, axis=1)
    return Dependence(name, values.astype(np.float64), found.mean(axis=1), lower, upper)
