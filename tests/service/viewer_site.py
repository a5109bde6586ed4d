"""A site for the web page: its bundle, a small store, and processes that answer as told."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from odc.geo.geobox import GeoBox
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

import service
from cup4soil.grids import Bounds, aligned_geobox, parse_crs
from cup4soil.products import NO_SKILL, NO_SKILL_NOTE, Band, Extent, Layer, ProductRecord
from cup4soil.settings import Settings
from producers.method_page import METHOD_DOCUMENT
from stac_catalog.store import Store
from tests.catalog import products

DIST = Path(service.__file__).parent / "viewer" / "dist"
JOB = "0b6ad2ce-7c6e-4f4d-9d3d-2f5a7d8f0a11"
PATCH = 50
STATISTICS = {
    "unit": "g/kg",
    "cells": 1200,
    "mapped_cells": 1000,
    "area_ha": 40.0,
    "mean": 15.3,
    "median": 14.9,
    "q05": 9.1,
    "q95": 24.2,
    "mean_interval_width": 9.0,
    "inside_percent": 31.5,
    "notes": ["A note of the process."],
}
_CELLS = {"mean": 0, "q05": -40, "q50": 0, "q95": 50}


@dataclass
class Processes:
    """What the processes of the site answer, and what they were asked."""

    statuses: list[dict[str, Any]] = field(default_factory=list)
    refusal: Response | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    preferred: list[str | None] = field(default_factory=list)
    dismissed: int = 0
    coverages: list[dict[str, str]] = field(default_factory=list)
    coverage: bytes = b"II*\0 not quite a GeoTIFF"

    async def execute(self, request: Request) -> Response:
        self.asked.append(await request.json())
        self.preferred.append(request.headers.get("prefer"))
        if self.refusal is not None:
            return self.refusal
        # A service behind a proxy may give another name for itself.
        location = {"Location": f"http://inner.example/ogc/jobs/{JOB}"}
        return JSONResponse({"jobID": JOB, "status": "accepted"}, 201, location)

    async def job(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.dismissed += 1
            return JSONResponse({"jobID": JOB, "status": "dismissed"})
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return JSONResponse({"jobID": JOB} | status)

    async def results(self, request: Request) -> Response:
        href = f"/results/{JOB}/map.tif"
        provenance = {
            "model": {"id": "m", "title": "A model"},
            "verdict": "no-skill",
            "licence": "CC-BY-SA-4.0",
            "attribution": ["Somebody"],
            "simulated": True,
        }
        document = {"map": {"href": href, "type": "image/tiff"}, "statistics": STATISTICS, "provenance": provenance}
        return JSONResponse(document)

    async def read_coverage(self, request: Request) -> Response:
        self.coverages.append(dict(request.query_params) | {"collection": request.path_params["collection"]})
        return self.refusal or Response(self.coverage, media_type="image/tiff")


def problem(status: int, detail: str) -> Response:
    """A refusal as the service writes it."""
    body = {"type": "about:blank", "title": "Bad Request", "status": status, "detail": detail}
    return JSONResponse(body, status, media_type="application/problem+json")


def fill(folder: Path) -> Store:
    """A store with a composite, a model and a map on the European grid, and a larger map in UTM."""
    store = Store.open(folder / "store", Settings())
    records = [
        products.composite(folder / "composite"),
        products.model(folder / "model"),
        products.soil_map(folder / "map"),
        _utm_map(folder / "utm"),
    ]
    for record, name in zip(records, ("composite", "model", "map", "utm"), strict=True):
        store.register(record, folder / name)
    _write_result(folder / "results" / JOB)
    return store


def utm_grid() -> GeoBox:
    """600 x 600 cells: two blocks each way, and an overview."""
    return aligned_geobox(Bounds(460_000, 5_800_000, 472_000, 5_812_000), parse_crs("EPSG:32633"), 20)


@contextmanager
def served(store: Path, results: Path, processes: Processes) -> Iterator[str]:
    """The site on a free port; gives its address."""
    ogc = [
        Route("/processes/predict-soil-property/execution", processes.execute, methods=["POST"]),
        Route("/jobs/{job}", processes.job, methods=["GET", "DELETE"]),
        Route("/jobs/{job}/results", processes.results),
        Route("/collections/{collection}/coverage", processes.read_coverage),
    ]
    routes = [
        Mount("/ogc", routes=ogc),
        Mount("/catalog", StaticFiles(directory=store / "catalog")),
        Mount("/results", StaticFiles(directory=results)),
        Mount("/", StaticFiles(directory=DIST, html=True)),
    ]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=0, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the site did not start")
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


def _utm_map(folder: Path) -> ProductRecord:
    folder.mkdir()
    rng = np.random.default_rng(7)
    grid = utm_grid()
    base = rng.integers(80, 250, (1, *grid.shape))
    base[:, :, -PATCH:] = -32768
    layers = [_write(folder, _value(name), np.where(base < 0, base, base + add), grid) for name, add in _CELLS.items()]
    patches = rng.integers(0, 2, [side // PATCH for side in grid.shape])
    aoa = Layer(
        name="aoa",
        title="Area of applicability",
        description="Where the model applies.",
        file="aoa.tif",
        bands=(Band(name="aoa"),),
        dtype="uint8",
        nodata=255,
        categories={0: "outside", 1: "inside"},
    )
    layers.append(_write(folder, aoa, np.kron(patches, np.ones((PATCH, PATCH)))[None], grid))
    (folder / METHOD_DOCUMENT.file).write_text("<!doctype html><title>Method</title>", encoding="utf-8")
    like = products.soil_map(folder.parent / "utm-like", simulated=False)
    return like.model_copy(
        update={
            "id": "clay-0-30cm-0123456789ab",
            "collection": "clay-0-30cm",
            "title": f"Clay content, 0-30 cm: {NO_SKILL}",
            "verdict": "no-skill",
            "limitations": (NO_SKILL_NOTE,),
            "property_code": "clay",
            "depth": "0-30cm",
            "extent": Extent.of_grid(grid),
            "layers": tuple(layers),
            "documents": (METHOD_DOCUMENT,),
        }
    )


def _write_result(folder: Path) -> None:
    """What a prediction leaves: one file with a band for each layer."""
    folder.mkdir(parents=True)
    grid = products.grid()
    mean = np.random.default_rng(9).integers(80, 250, grid.shape)
    aoa = np.arange(mean.size).reshape(mean.shape) % 2
    parts = [mean, mean - 40, mean, mean + 50, np.full_like(mean, 60), np.full_like(mean, 90), aoa, aoa * 100]
    scales = (0.1, 0.1, 0.1, 0.1, 0.01, 0.1, 1.0, 0.001)
    names = ("mean", "q05", "q50", "q95", "uncertainty", "pi90", "aoa", "di")
    bands = tuple(Band(name=name, scale=scale) for name, scale in zip(names, scales, strict=True))
    layer = Layer(name="map", title="Map", description="", file="map.tif", bands=bands, nodata=-32768)
    products.write_layer(folder, layer, np.stack(parts), grid)


def _value(name: str) -> Layer:
    band = Band(name=name, unit="%")
    return Layer(name=name, title=name, description=name, file=f"{name}.tif", bands=(band,), nodata=-32768, scale=0.1)


def _write(folder: Path, layer: Layer, values: np.ndarray, grid: GeoBox) -> Layer:
    return products.write_layer(folder, layer, values, grid)
