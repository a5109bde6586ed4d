"""Accuracy on real soils: ``python benchmarks/accuracy.py --data ../shared/data``.

Every figure is of held-out samples, pooled over the folds, with one policy for all data sets: the default forest
parameters, or with ``--tuned`` those that :func:`tune` chooses by out-of-bag error from each fold's training rows
alone. R2 is the model efficiency; PICP90 the share inside the 90 % interval, of the forest and after calibration
on the other folds; the verdict comes from the bootstrap of the efficiency, blocks or profiles resampled whole.

Data: Ebergoetzen (plotKML) and Peterborough (CDSM workshop) below ``--data``, left out where missing; limesoda
from its package (CC BY-SA 4.0) with its own folds and the bands of Sentinel-2 alone.
"""

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import LimeSoDa
import numpy as np
import rasterio
from numpy.typing import NDArray
from scipy.ndimage import laplace

from cup4soil.methods.conformal import calibration_levels, cross_calibrated_levels
from cup4soil.methods.folds import random_folds, spatial_folds
from cup4soil.methods.forest import ForestParameters
from cup4soil.methods.skill import assess
from cup4soil.methods.terrain import position_index, relative_height, roughness, slope_percent
from cup4soil.methods.texture import alr, close
from cup4soil.methods.tuning import tune
from cup4soil.methods.validation import cross_validate

type Array = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """Samples with features, what is modelled and reported, and the folds and units to resample of a seed."""

    name: str
    target: float
    features: Array
    modelled: Array
    reported: Array
    folds: Callable[[int], tuple[NDArray[np.int64], NDArray[np.generic]]]
    # The column that the figures are of, on the scale modelled where they are asked for there.
    on_modelled: bool = False
    seeds: int = 5


def _grid_cells(path: Path, x: Array, y: Array) -> tuple[dict[str, Array], NDArray[np.intp], NDArray[np.intp]]:
    """Bands of a raster by name, and row and column of the cell of each point; -1 outside."""
    with rasterio.open(path) as source:
        names = [name or path.stem for name in source.descriptions]
        bands = dict(zip(names, source.read(masked=True).astype(np.float64).filled(np.nan), strict=True))
        column, row = (np.floor(v).astype(np.intp) for v in ~source.transform * (x, y))
        outside = (row < 0) | (row >= source.height) | (column < 0) | (column >= source.width)
    return bands, np.where(outside, -1, row), np.where(outside, -1, column)


def _classes(values: Array) -> list[Array]:
    return [(values == level).astype(np.float64) for level in np.unique(values[np.isfinite(values)])]


def _oblique(x: Array, y: Array, directions: int = 6) -> list[Array]:
    """Coordinates along axes turned by equal angles (Møller et al. 2020, SOIL 6, 269)."""
    angles = np.pi * np.arange(directions) / directions
    return [(x - x.mean()) * np.cos(angle) + (y - y.mean()) * np.sin(angle) for angle in angles]


def _terrain(elevation: Array, cell_m: float) -> list[Array]:
    dem = elevation.astype(np.float32)
    layers = [slope_percent(dem, cell_m), roughness(dem), laplace(dem, mode="nearest")]
    layers += [position_index(dem, radius) for radius in (1, 2, 5, 10, 20)]
    layers += [relative_height(dem, radius) for radius in (1, 2, 5, 10, 20)]
    return [layer.astype(np.float64) for layer in layers]


def _columns(path: Path, names: list[str]) -> dict[str, Array]:
    """Columns as numbers, NaN where there is none."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    texts = {name: [row[name] for row in rows] for name in names}
    return {
        name: np.array([float(text) if text not in ("", "NA") else np.nan for text in column])
        for name, column in texts.items()
    }


def ebergoetzen(data: Path) -> Iterator[Case]:
    """Clay, alone and within the texture, of 0-10 cm in blocks of 500 m."""
    folder = data / "eberg"
    names = ["X", "Y", "UHDICM_A", "LHDICM_A", "SNDMHT_A", "SLTMHT_A", "CLYMHT_A"]
    x, y, upper, lower, sand, silt, clay = _columns(folder / "eberg.csv", names).values()
    bands, row, column = _grid_cells(folder / "eberg_grid_100m.tif", x, y)
    kept = (upper == 0) & (lower == 10) & np.isfinite(sand + silt + clay) & (row >= 0)
    x, y, sand, silt, clay, row, column = (each[kept] for each in (x, y, sand, silt, clay, row, column))
    at = {name: band[row, column] for name, band in bands.items()}
    features = [at["DEMSRT6"], at["TWISRT6"], at["TIRAST6"], *_classes(at["PRMGEO6"]), *_classes(at["LNCCOR6"])]
    features += [layer[row, column] for layer in _terrain(bands["DEMSRT6"], 100.0)] + _oblique(x, y)
    table = np.column_stack(features)

    def blocks(seed: int) -> tuple[NDArray[np.int64], NDArray[np.generic]]:
        found = spatial_folds(x, y, np.arange(x.size), 10, seed, block_size=500.0)
        return found.folds, found.blocks

    yield Case("Ebergoetzen clay, 500 m blocks", 0.55, table, clay, clay, blocks)
    closed = close(clay, silt, sand)
    yield Case("Ebergoetzen texture: clay", 0.55, table, alr(*closed.T), closed, blocks)


def peterborough(data: Path) -> Iterator[Case]:
    """Organic carbon of the topsoil, organic soils kept."""
    folder = data / "cdsm-peterborough"
    x, y, upper, carbon = _columns(folder / "Analytical.csv", ["x", "y", "UPPER", "OC"]).values()
    top = upper == 0
    x, y, carbon = x[top], y[top], carbon[top]
    features: list[Array] = []
    for path in sorted((folder / "covariates_20m").glob("*.tif")):
        bands, row, column = _grid_cells(path, x, y)
        values = np.where(row >= 0, next(iter(bands.values()))[row, column], np.nan)
        features += _classes(values) if path.stem == "crop2016" else [values]
    table = np.column_stack(features)
    kept = np.isfinite(table).all(axis=1) & (carbon > 0)
    places = np.unique(np.column_stack([x, y])[kept], axis=0, return_inverse=True)[1].reshape(-1)
    yield Case(
        "Peterborough ln(OC), 10 folds", 0.6, table[kept], np.log(carbon[kept]), carbon[kept],
        lambda seed: (random_folds(places, 10, seed), places), on_modelled=True,
    )  # fmt: skip


def limesoda() -> Iterator[Case]:
    """Field data sets with Sentinel-2 bands."""
    for name, column, target in (
        ("BB.250", "SOC", 0.75), ("MG.112", "SOC", 0.4), ("MG.112", "Clay", 0.5), ("B.204", "SOC", -np.inf),
    ):  # fmt: skip
        data = LimeSoDa.load_dataset(name)
        table, folds = data["Dataset"], np.asarray(data["Folds"], np.int64)
        bands = [band for band in table.columns if band[0] == "B" and band[1:3].strip("A").isdigit()]
        values = table[f"{column}_target"].to_numpy(np.float64)
        features = table[bands].to_numpy(np.float64)
        rows = np.arange(values.size)
        yield Case(f"limesoda {name} {column}", target, features, values, values, lambda _, f=folds, r=rows: (f, r))


def _run(case: Case, trees: int, min_leaf: int, tuned: bool, threads: int) -> None:
    start, found, tests, after, verdicts, sums = time.perf_counter(), [], [], [], set(), 0.0
    levels = calibration_levels()
    for seed in range(case.seeds):
        folds, units = case.folds(seed)
        base = ForestParameters(trees=trees, min_leaf=min_leaf, seed=seed)

        def choose(rows: NDArray[np.bool_], base: ForestParameters = base) -> ForestParameters:
            return tune(case.features[rows], case.modelled[rows], base, threads=threads).parameters

        validated = cross_validate(
            case.features, case.modelled, case.reported, folds, choose if tuned else base, levels, threads=threads
        )
        observed = case.modelled if case.on_modelled else case.reported.reshape(len(folds), -1)[:, 0]
        held = validated.modelled if case.on_modelled else validated.reported
        low, high = (held.quantiles[levels.index(each)] for each in (0.05, 0.95))
        skill = assess(observed, held.mean, units, seed)
        found.append(skill.mec)
        verdicts.add(skill.verdict)
        tests.append(np.mean((low <= observed) & (observed <= high)))
        down, up = cross_calibrated_levels(observed, levels, held.quantiles, folds)
        after.append(np.mean((down <= observed) & (observed <= up)))
        if len(validated.reported_all) > 1:
            sums = max(sums, float(np.abs(sum(part.mean for part in validated.reported_all) - 100.0).max()))
    said, seconds = "/".join(sorted(verdicts)), time.perf_counter() - start
    reached = "yes" if np.mean(found) >= case.target else "NO"
    wanted = "none" if np.isinf(case.target) else f"{case.target:.2f} {reached}"
    print(
        f"{case.name:<32}{len(case.features):>6}{case.features.shape[1]:>5}{np.mean(found):>8.3f}{min(found):>8.3f}"
        f"{max(found):>8.3f}  {wanted:<10}{np.mean(tests):>7.3f}{np.mean(after):>7.3f}  {said:<10}"
        f"{seconds:>5.0f} s" + (f"  |sum - 100| <= {sums:.1e}" if sums else ""),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--trees", type=int, default=200)
    parser.add_argument("--min-leaf", type=int, default=ForestParameters().min_leaf)
    parser.add_argument("--tuned", action="store_true", help="tune within each training part")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    print(f"{'case':<32}{'n':>6}{'f':>5}{'R2':>8}{'least':>8}{'most':>8}  {'wanted':<10}PICP90  calib  verdict")
    local = [make(given.data) for make, name in ((ebergoetzen, "eberg"), (peterborough, "cdsm-peterborough"))
             if (given.data / name).is_dir()]  # fmt: skip
    for cases in (*local, limesoda()):
        for case in cases:
            if given.only.lower() in case.name.lower():
                _run(case, given.trees, given.min_leaf, given.tuned, given.threads)


if __name__ == "__main__":
    main()
