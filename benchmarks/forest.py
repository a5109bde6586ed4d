"""Speed of the quantile forest against the package quantile-forest: ``python benchmarks/forest.py``.

Same data, same trees and same weights on both sides: mean and the quantiles 0.05, 0.5 and 0.95 of pixels
drawn at random, which is the hardest case for a cache. The best of three runs is given, as pixels per
second, for as many threads as asked; the agreement of the two is printed beside it.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from quantile_forest import RandomForestQuantileRegressor  # type: ignore[import-untyped]

from cup4soil.methods.applicability import Applicability
from cup4soil.methods.forest import QUANTILES, ForestParameters, QuantileForest

_OTHERS_PIXELS = 2_000
_RUNS = 3


@dataclass(frozen=True)
class Case:
    """Samples, features and trees."""

    samples: int
    features: int
    trees: int


CASES = (Case(250, 10, 500), Case(20_000, 30, 200))


def _table(rows: int, features: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, features)).astype(np.float32)
    signal = 2 * x[:, 0] + np.sin(2 * x[:, 1]) + x[:, 2] * x[:, 3]
    return x, np.exp(0.3 * (signal + 0.5 * random.normal(size=rows)))


def _best(run: Callable[[], object]) -> float:
    """Seconds of the fastest run."""
    seconds = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _compare(case: Case, pixels: int, threads: int) -> None:
    x, y = _table(case.samples, case.features, 0)
    at, _ = _table(pixels, case.features, 1)
    few = at[:_OTHERS_PIXELS]
    parameters = ForestParameters(trees=case.trees)
    forest = QuantileForest.fit(x, y, None, parameters, threads=threads)
    other = RandomForestQuantileRegressor(
        case.trees, min_samples_leaf=parameters.min_leaf, max_features=parameters.max_features,
        max_samples_leaf=None, random_state=parameters.seed, n_jobs=threads,
    )  # fmt: skip
    fitting = _seconds(lambda: other.fit(x, y))
    area = Applicability.fit(x, forest.importance, np.arange(case.samples) % 10)
    forest.predict(few, threads=threads)
    ours = pixels / _best(lambda: forest.predict(at, threads=threads))
    mean = pixels / _best(lambda: forest.predict(at, (), threads=threads))
    index = len(few) / _best(lambda: area.dissimilarity(few, threads=threads))
    theirs = len(few) / _best(lambda: other.predict(few, quantiles=list(QUANTILES), weighted_leaves=True))
    spread = float(np.std(y))
    expected = other.predict(few, quantiles=list(QUANTILES), weighted_leaves=True).T
    differ = float(np.abs(forest.predict(few).quantiles - expected).mean()) / spread
    print(f"{case.samples} samples, {case.features} features, {case.trees} trees, {threads} threads")
    print(f"  cup4soil, mean and 3 quantiles      {ours:12,.0f} px/s")
    print(f"  cup4soil, mean only                 {mean:12,.0f} px/s")
    print(f"  quantile-forest, 3 quantiles        {theirs:12,.0f} px/s   ({ours / theirs:.1f} times slower)")
    print(f"  mean difference of the quantiles    {differ:12.4f} standard deviations")
    print(f"  dissimilarity index                 {index:12,.0f} px/s")
    fitted = _seconds(lambda: QuantileForest.fit(x, y, None, parameters, threads=threads))
    print(f"  training with importance            {fitted:12.1f} s      (quantile-forest {fitting:.1f} s)", flush=True)


def main() -> None:
    """Run both cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    for case in CASES:
        _compare(case, options.pixels, options.threads)


if __name__ == "__main__":
    main()
