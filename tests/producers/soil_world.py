"""A small landscape with covariates and samples, for the tests of training and prediction."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from cup4soil.depths import Depth
from cup4soil.products import ProductRecord
from cup4soil.settings import Settings
from producers.pages import write_json
from producers.report_diagnostics import diagnose
from producers.reporting import report_document
from producers.training import TrainRequest
from producers.training_result import TrainingResult

LEFT, TOP, SIZE, CELL = 500_000.0, 5_800_000.0, 60, 20.0
SETTINGS = Settings(threads=2)


@dataclass(frozen=True)
class World:
    """Folder of covariates and file of samples."""

    covariates: Path
    samples: Path

    def request(self, **changes: Any) -> TrainRequest:
        given = {
            "samples": self.samples, "target": "oc", "property_code": "soc", "unit": "%", "id": "site",
            "upper": "upper", "lower": "lower", "depth": Depth(0, 20), "x": "x", "y": "y", "crs": "EPSG:32633",
            "covariates": (self.covariates,), "categorical": ("land",), "folds": 3, "trees": 25,
        }  # fmt: skip
        return TrainRequest(**(given | changes))


def make_world(folder: Path) -> World:
    """Organic carbon follows height and wetness; the land's class 9 lies where no sample is."""
    rng = np.random.default_rng(7)
    rows, cols = np.mgrid[:SIZE, :SIZE] / SIZE
    height = (np.sin(4 * cols) + rows + 0.05 * rng.normal(size=rows.shape)).astype(np.float32)
    wet = (np.cos(5 * rows) * cols + 0.05 * rng.normal(size=rows.shape)).astype(np.float32)
    noise = rng.normal(size=rows.shape).astype(np.float32)
    land = np.where(rows + cols > 1, 2, 5).astype(np.uint8)
    sampled = rng.permutation(SIZE * SIZE)[:120]
    sampled = sampled[(sampled // SIZE > 5) & (sampled % SIZE > 5)]
    wet[:3], land[50:, :5] = np.nan, 9
    for name, values in {"height": height, "wet": wet, "noise": noise, "land": land}.items():
        write_raster(folder / "covariates" / f"{name}.tif", values)
    carbon = np.exp(
        0.4 + 0.6 * height.ravel()[sampled] + 0.5 * wet.ravel()[sampled] + 0.08 * rng.normal(size=sampled.size)
    )
    lines = ["site,upper,lower,oc,x,y,height,wet"]
    for site, (cell, value) in enumerate(zip(sampled, carbon, strict=True)):
        x, y = LEFT + CELL * (cell % SIZE + 0.5), TOP - CELL * (cell // SIZE + 0.5)
        extra = f"{height.ravel()[cell]:.5f},{wet.ravel()[cell]:.5f}"
        lines += [f"S{site},0,20,{value:.4f},{x},{y},{extra}", f"S{site},20,60,{value / 3:.4f},{x},{y},{extra}"]
    lines += ["bad,20,0,1.0,500700,5799500,0,0", "worse,0,20,< LOD,500700,5799500,0,0"]
    (folder / "samples.csv").write_text("\n".join(lines) + "\n")
    return World(folder / "covariates", folder / "samples.csv")


@contextmanager
def without_plots() -> Iterator[None]:
    """Trainings whose report has all figures but no drawings, which take longer than these small trainings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("producers.training.write_report", _figures_only)
        yield


def _figures_only(folder: Path, result: TrainingResult, record: ProductRecord, *, threads: int) -> None:
    write_json(folder / "report.json", report_document(result, record, diagnose(result, threads)))
    (folder / "report.html").touch()
    Image.new("RGB", (8, 8)).save(folder / "overview.png")


def write_raster(path: Path, values: Any, crs: str = "EPSG:32633") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", height=values.shape[0], width=values.shape[1], count=1, dtype=values.dtype, crs=crs,
        transform=from_origin(LEFT, TOP, CELL, CELL),
    ) as dataset:  # fmt: skip
        dataset.write(values, 1)
    return path
