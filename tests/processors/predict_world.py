"""A store to predict from: a composite with its model, and a model of covariates outside the store."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from cup4soil.progress import Silent
from cup4soil.settings import Settings
from producers.jobs import deliver
from producers.training import TrainRequest, plan_training
from stac_catalog.store import Store
from tests.catalog.products import COMMON_NAMES, composite
from tests.producers.soil_world import make_world, without_plots

# Cells of 20 m in EPSG:3035; the left half of the composite shows no bare soil.
SIZE, LEFT, BOTTOM, CELL = 60, 4_321_000, 3_210_000, 20
TOP, RIGHT = BOTTOM + SIZE * CELL, LEFT + SIZE * CELL
FEATURES = tuple(f"SRC_{band}" for band in COMMON_NAMES)
_SETTINGS = Settings(threads=1)


@dataclass(frozen=True)
class PredictWorld:
    """``covariates`` are those of ``outside``, a model of nitrogen at 0-20 cm."""

    store: Path
    composite: Path
    model: Path
    covariates: Path
    outside: Path

    def copy(self, folder: Path) -> "PredictWorld":
        """The same with a store of its own."""
        shutil.copytree(self.store, folder)
        catalog = folder / "catalog"
        composite, model, outside = (
            catalog / each.relative_to(self.store / "catalog") for each in (self.composite, self.model, self.outside)
        )
        return PredictWorld(folder, composite, model, self.covariates, outside)


def make_predict_world(folder: Path) -> PredictWorld:
    store = Store.open(folder / "store", _SETTINGS)
    record = composite(folder / "composite", size=SIZE)
    bare = store.register(record, folder / "composite")
    request = TrainRequest(
        samples=_samples(folder), target="oc", property_code="soc", unit="g/kg", id="site", x="x", y="y",
        crs="EPSG:3035", features=FEATURES, folds=3, trees=25, licence="CC-BY-SA-4.0", attribution="the field team",
    )  # fmt: skip
    world = make_world(folder / "outside")
    other = world.request(property_code="nitrogen", unit="g/kg")
    with without_plots():
        deliver(plan_training(request, _SETTINGS), folder / "model", store, Silent())
        deliver(plan_training(other, _SETTINGS), folder / "other", store, Silent())
    models = {store.record("models", id_).property_code: id_ for id_ in store.items("models")}
    found = {code: store.find("models", id_) for code, id_ in models.items()}
    assert found["soc"] is not None
    assert found["nitrogen"] is not None
    return PredictWorld(store.root, bare, found["soc"], world.covariates, found["nitrogen"])


def polygon(*ring: tuple[float, float], crs: str | None = "EPSG:3035") -> dict[str, Any]:
    """A GeoJSON polygon of corners given in metres from the lower left corner of the composite."""
    corners = [[LEFT + x, BOTTOM + y] for x, y in ring]
    document: dict[str, Any] = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
    return document if crs is None else document | {"crs": {"type": "name", "properties": {"name": crs}}}


def _samples(folder: Path) -> Path:
    """Organic carbon that falls with red reflectance, at 80 bare cells."""
    with rasterio.open(folder / "composite" / "SRC.tif") as dataset:
        values = dataset.read() * 1e-4
    rng = np.random.default_rng(3)
    cells = rng.permutation(SIZE * SIZE // 2)[:80]
    rows, cols = cells // (SIZE // 2), SIZE // 2 + cells % (SIZE // 2)
    lines = [",".join(("site", "oc", "x", "y", *FEATURES))]
    for site, (row, col) in enumerate(zip(rows, cols, strict=True)):
        here = values[:, row, col]
        carbon = 30 * np.exp(-4 * here[2]) + rng.normal(0, 0.5)
        place = (LEFT + CELL * (col + 0.5), TOP - CELL * (row + 0.5))
        lines.append(",".join([f"S{site}", f"{carbon:.4f}", *map(str, place), *(f"{value:.5f}" for value in here)]))
    (folder / "samples.csv").write_text("\n".join(lines) + "\n")
    return folder / "samples.csv"
