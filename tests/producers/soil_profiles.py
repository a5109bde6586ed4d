"""Profiles of two or three horizons with several properties on the small landscape of the soil world."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from cup4soil.depths import Depth
from producers.training import TrainRequest
from tests.producers.soil_world import CELL, LEFT, SIZE, TOP, make_world

TEXTURE = {"target": ("clay", "silt", "sand"), "property_code": ("clay", "silt", "sand"), "unit": ("%", "%", "%")}
STOCK = {"target": ("oc", "bd"), "property_code": ("soc", "bdod"), "unit": ("g/kg", "g/cm3")}


@dataclass(frozen=True)
class Profiles:
    """Folder of covariates and file of samples; ``noise`` is a column that nothing explains."""

    covariates: Path
    samples: Path

    def request(self, **changes: Any) -> TrainRequest:
        depth = None if "depths" in changes or "three_d" in changes else Depth(0, 20)
        given = {
            "samples": self.samples, "target": "oc", "property_code": "soc", "unit": "g/kg", "id": "site",
            "upper": "upper", "lower": "lower", "depth": depth, "x": "x", "y": "y", "crs": "EPSG:32633",
            "covariates": (self.covariates,), "categorical": ("land",), "folds": 4, "trees": 30,
        }  # fmt: skip
        return TrainRequest(**(given | changes))


def make_profiles(folder: Path, count: int = 220) -> Profiles:
    """Carbon falls with depth and rises with height; texture follows height and wetness; density falls with carbon."""
    world = make_world(folder)
    rng = np.random.default_rng(11)
    cells = rng.permutation(SIZE * SIZE)[:count]
    covariates = {}
    for name in ("height", "wet", "land"):
        with rasterio.open(world.covariates / f"{name}.tif") as dataset:
            covariates[name] = dataset.read(1).ravel()[cells].astype(float)
    lines = ["site,upper,lower,x,y,region,oc,bd,clay,silt,sand,noise"]
    for place, cell in enumerate(cells):
        x, y = LEFT + CELL * (cell % SIZE + 0.5), TOP - CELL * (cell // SIZE + 0.5)
        height, wet = covariates["height"][place], covariates["wet"][place]
        if np.isnan(wet):
            continue
        for upper, lower in ((0, 20), (20, 50), (50, 100)):
            depth = (upper + lower) / 2
            carbon = np.exp(3 + 0.5 * height - 0.02 * depth + 0.1 * rng.normal())
            density = 1.7 - 0.15 * np.log(carbon) + 0.02 * rng.normal()
            parts = np.exp([0.4 * height + 0.1 * rng.normal(), wet + 0.1 * rng.normal(), 0.3 + 0.002 * depth])
            clay, silt, sand = 100 * parts / parts.sum()
            region = "north" if cell < SIZE * SIZE / 3 else "middle" if cell < 2 * SIZE * SIZE / 3 else "south"
            values = (carbon, density, clay, silt, sand, rng.normal(20, 5))
            lines.append(f"P{place},{upper},{lower},{x},{y},{region}," + ",".join(f"{value:.4f}" for value in values))
    samples = folder / "profiles.csv"
    samples.write_text("\n".join(lines) + "\n")
    return Profiles(world.covariates, samples)
