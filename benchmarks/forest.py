"""Speed of the quantile forest against its peers: ``python benchmarks/forest.py``.

Mean and the quantiles 0.05, 0.5 and 0.95 of the pixels of a tile, by forests of the same samples and
settings (200 trees, leaves of at least 5, a third of the features at a split): ours in both forms,
quantile-forest in both, scikit-learn's own mean, and R's ranger where it is installed (Debian
r-cran-ranger). All are run in turn, several rounds, and the best round of each counts; peers get as many
pixels of the tile as they manage in a few seconds, and none that are masked. Rates are pixels with a value
per second on the clock, with all threads, and microseconds of processor time per pixel, which other
work on the machine disturbs less. quantile-forest gives no mean beside its quantiles: it does less.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from forest_ranger import Ranger, why_not
from forest_scene import Scene, scene
from quantile_forest import RandomForestQuantileRegressor  # type: ignore[import-untyped]
from sklearn.ensemble import RandomForestRegressor  # type: ignore[import-untyped]

from cup4soil.methods.applicability import Applicability
from cup4soil.methods.forest import QUANTILES, ForestParameters, QuantileForest

_PEER_PIXELS = 16_384
_RANGER_PIXELS = 4_096
_TAUS = list(QUANTILES)


@dataclass
class Contender:
    """One line of the table: ``run`` predicts ``pixels`` and gives seconds of clock and of the processors."""

    name: str
    pixels: int
    run: Callable[[], tuple[float, float]]
    peer: str = ""
    clock: float = field(default=np.inf)
    processor: float = field(default=np.inf)

    def round(self) -> None:
        """Run once more; the best counts."""
        clock, processor = self.run()
        self.clock, self.processor = min(self.clock, clock), min(self.processor, processor)


def timed(work: Callable[[], object]) -> Callable[[], tuple[float, float]]:
    def run() -> tuple[float, float]:
        clock, processor = time.perf_counter(), time.process_time()
        work()
        return time.perf_counter() - clock, time.process_time() - processor

    return run


def ours(tile: Scene, parameters: dict[str, int], threads: int) -> tuple[list[Contender], QuantileForest]:
    fit = {
        form: QuantileForest.fit(
            tile.samples, tile.values, None, ForestParameters(form=form, **parameters), threads=threads,
            measure_importance=form == "all",
        )
        for form in ("all", "one")
    }  # fmt: skip
    count, shuffled = len(tile.valid), np.random.default_rng(0).permutation(tile.valid)
    three = np.column_stack([tile.values, np.sqrt(tile.values), -tile.values * tile.samples[:, 0]])
    wide = {form: forest.with_reported(three) for form, forest in fit.items()}
    area = Applicability.fit(tile.samples, fit["all"].importance, np.arange(len(tile.values)) % 10)

    def line(name: str, work: Callable[[], object], peer: str = "", pixels: int = count) -> Contender:
        return Contender(f"cup4soil, {name}", pixels, timed(work), peer)

    def predict(form: str, at: np.ndarray, taus: tuple[float, ...] = QUANTILES) -> Callable[[], object]:
        return lambda: fit[form].predict(at, taus, threads=threads)

    few = tile.valid[:_RANGER_PIXELS]
    lines = [
        line("one", predict("one", tile.pixels), "quantile-forest, one"),
        line("all", predict("all", tile.pixels), "quantile-forest, all"),
        line("mean only", predict("all", tile.pixels, ()), "scikit-learn, mean only"),
        line("one, 3 columns", lambda: wide["one"].predict_all(tile.pixels, QUANTILES, threads=threads)),
        line("all, 3 columns", lambda: wide["all"].predict_all(tile.pixels, QUANTILES, threads=threads)),
        line("one, pixels in random order", predict("one", shuffled)),
        line("all, pixels in random order", predict("all", shuffled)),
        line("dissimilarity index", lambda: area.dissimilarity(few, threads=threads), pixels=len(few)),
    ]
    return lines, fit["all"]


def peers(tile: Scene, parameters: dict[str, int], threads: int) -> tuple[list[Contender], np.ndarray]:
    few = np.ascontiguousarray(tile.valid[:_PEER_PIXELS])
    common = {
        "n_estimators": parameters["trees"], "min_samples_leaf": 5, "max_features": 1 / 3, "random_state": 0,
        "n_jobs": threads,
    }  # fmt: skip
    one = RandomForestQuantileRegressor(max_samples_leaf=1, **common).fit(tile.samples, tile.values)
    every = RandomForestQuantileRegressor(max_samples_leaf=None, **common).fit(tile.samples, tile.values)
    plain = RandomForestRegressor(**common).fit(tile.samples, tile.values)
    part = few[: len(few) // 4]
    lines = [
        Contender("quantile-forest, one", len(few), timed(lambda: one.predict(few, quantiles=_TAUS))),
        Contender(
            "quantile-forest, all", len(part),
            timed(lambda: every.predict(part, quantiles=_TAUS, weighted_leaves=True)),
        ),
        Contender("scikit-learn, mean only", len(few), timed(lambda: plain.predict(few))),
    ]  # fmt: skip
    return lines, every.predict(part, quantiles=_TAUS, weighted_leaves=True).T


@contextmanager
def ranger(tile: Scene, trees: int, threads: int) -> Iterator[list[Contender]]:
    reason = why_not()
    if reason is not None:
        print(f"ranger is left out: {reason}")
        yield []
        return
    few = tile.valid[:_RANGER_PIXELS]
    with (
        tempfile.TemporaryDirectory() as folder,
        Ranger(Path(folder), tile.samples, tile.values, few, trees, threads) as process,
    ):
        yield [
            Contender("ranger quantreg (one)", len(few), lambda: process.predict("quantiles")),
            Contender("ranger, mean only", len(few), lambda: process.predict("mean")),
        ]


def show(lines: list[Contender]) -> None:
    by_name = {line.name: line for line in lines}
    print(f"{'':38}{'px/s':>12}{'CPU us/px':>12}{'h for 1e8 px':>14}   times the peer's rate: clock, CPU")
    for line in lines:
        clock, processor = line.clock / line.pixels, line.processor / line.pixels
        text = f"{line.name:38}{1 / clock:12,.0f}{1e6 * processor:12.2f}{clock * 1e8 / 3600:14.2f}"
        if line.peer:
            peer = by_name[line.peer]
            ratios = peer.clock / peer.pixels / clock, peer.processor / peer.pixels / processor
            text += f"   {ratios[0]:.1f} x, {ratios[1]:.1f} x ({peer.name})"
        print(text)


def training(tile: Scene, parameters: dict[str, int], threads: int) -> None:
    for name, importance in (("without importance", False), ("with importance", True)):
        clock, processor = timed(
            lambda importance=importance: QuantileForest.fit(
                tile.samples, tile.values, None, ForestParameters(**parameters), threads=threads,
                measure_importance=importance,
            )
        )()  # fmt: skip
        print(f"training {name:29}{clock:12.1f} s{processor:12.1f} s of the processors")


def main() -> None:
    """Fit all, run them in turn, show the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("samples", 20_000), ("features", 36), ("trees", 200), ("side", 512), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    tile = scene(options.samples, options.features, options.side)
    masked = 1 - len(tile.valid) / len(tile.pixels)
    print(
        f"{options.samples} samples, {options.features} features, {options.trees} trees, {options.threads} threads, "
        f"tile of {options.side} x {options.side} pixels, {masked:.0%} masked"
    )
    parameters = {"trees": options.trees, "min_leaf": 5}
    mine, forest = ours(tile, parameters, options.threads)
    others, expected = peers(tile, parameters, options.threads)
    with ranger(tile, options.trees, options.threads) as in_r:
        lines = [*mine, *others, *in_r]
        for _ in range(options.rounds):
            for line in lines:
                line.round()
    show(lines)
    found = forest.predict(tile.valid[: expected.shape[1]]).quantiles
    differ = np.abs(found - expected).mean() / np.std(tile.values)
    print(f"quantiles of ours and quantile-forest (all) differ by {differ:.4f} standard deviations on the mean")
    training(tile, parameters, options.threads)


if __name__ == "__main__":
    main()
