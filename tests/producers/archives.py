"""Small Sentinel-2 archives for tests, in the many forms real ones take."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin
from rasterio.warp import transform_geom

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
TEN_METRES = ("B02", "B03", "B04", "B08")
COMMON_NAMES = {
    "B02": "blue", "B03": "green", "B04": "red", "B05": "rededge1", "B06": "rededge2", "B07": "rededge3",
    "B08": "nir", "B8A": "nir08", "B11": "swir16", "B12": "swir22", "SCL": "scl",
}  # fmt: skip


@dataclass
class SceneSpec:
    """One scene: stored numbers by band (rows, columns at the band's resolution) and its metadata.

    ``options`` go to GDAL when files are made.
    """

    id: str
    time: str
    bands: dict[str, np.ndarray]
    scl: np.ndarray
    origin: tuple[float, float] = (600_000.0, 5_700_000.0)
    crs: str = "EPSG:32632"
    properties: dict[str, Any] = field(default_factory=dict)
    offset: float | None = 0.0
    offset_form: str = "raster:offset"
    naming: str = "band"
    options: dict[str, Any] = field(default_factory=dict)


def write_archive(folder: Path, specs: list[SceneSpec]) -> Path:
    """A static catalog with one collection; returns its ``catalog.json``."""
    root = folder / "archive"
    links = []
    for spec in specs:
        write_scene(root / "s2" / spec.id, spec)
        links.append({"rel": "item", "href": f"./{spec.id}/{spec.id}.json", "type": "application/geo+json"})
    collection = {
        "type": "Collection", "id": "sentinel-2-l2a", "stac_version": "1.1.0", "description": "Test",
        "license": "other",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "links": [{"rel": "root", "href": "../catalog.json"}, *links],
    }  # fmt: skip
    catalog = {
        "type": "Catalog", "id": "test", "stac_version": "1.1.0", "description": "Test",
        "links": [{"rel": "root", "href": "./catalog.json"}, {"rel": "child", "href": "./s2/collection.json"}],
    }  # fmt: skip
    (root / "s2").mkdir(parents=True, exist_ok=True)
    (root / "s2" / "collection.json").write_text(json.dumps(collection))
    (root / "catalog.json").write_text(json.dumps(catalog))
    return root / "catalog.json"


def write_scene(folder: Path, spec: SceneSpec) -> dict[str, Any]:
    """Files and item of one scene; returns the item."""
    folder.mkdir(parents=True, exist_ok=True)
    assets = {}
    height, width = (n * 20 for n in spec.scl.shape)
    for band, values in {**spec.bands, "SCL": spec.scl}.items():
        cell = height / values.shape[0]
        transform = from_origin(*spec.origin, cell, cell)
        path = folder / f"{band}.tif"
        with rasterio.open(
            path, "w", driver="GTiff", height=values.shape[0], width=values.shape[1], count=1, dtype=values.dtype,
            nodata=0, crs=spec.crs, transform=transform, **spec.options,
        ) as dataset:  # fmt: skip
            dataset.write(values, 1)
        assets[asset_name(band, spec.naming)] = asset(band, path.name, values.shape, transform, spec)
    left, top = spec.origin
    ring = [[left, top - height], [left + width, top - height], [left + width, top], [left, top], [left, top - height]]
    geometry = transform_geom(spec.crs, "EPSG:4326", {"type": "Polygon", "coordinates": [ring]})
    xs, ys = zip(*geometry["coordinates"][0], strict=True)
    item = {
        "type": "Feature", "stac_version": "1.1.0", "id": spec.id, "collection": "sentinel-2-l2a",
        "geometry": geometry, "bbox": [min(xs), min(ys), max(xs), max(ys)],
        "properties": {
            "datetime": spec.time, "platform": "sentinel-2a", "eo:cloud_cover": 10.0, "view:sun_elevation": 45.0,
            "proj:code": spec.crs, **spec.properties,
        },
        "links": [{"rel": "collection", "href": "../collection.json"}], "assets": assets,
    }  # fmt: skip
    (folder / f"{spec.id}.json").write_text(json.dumps(item))
    return item


def asset_name(band: str, naming: str) -> str:
    if naming == "common":
        return COMMON_NAMES[band]
    if naming == "suffixed" and band != "SCL":
        return f"{band}_{10 if band in TEN_METRES else 20}m"
    if naming == "opaque" and band != "SCL":
        return f"image-{BANDS.index(band)}"
    return band


def asset(band: str, href: str, shape: tuple[int, int], transform: Any, spec: SceneSpec) -> dict[str, Any]:
    found: dict[str, Any] = {
        "href": f"./{href}", "type": "image/tiff; application=geotiff", "proj:shape": list(shape),
        "proj:transform": list(transform)[:6], "nodata": 0,
    }  # fmt: skip
    if band == "SCL":
        return found
    found["bands"] = [{"name": band, "eo:common_name": COMMON_NAMES[band]}]
    if spec.offset is None:
        return found
    if spec.offset_form == "raster:offset":
        found |= {"raster:scale": 0.0001, "raster:offset": spec.offset}
    elif spec.offset_form == "bands":
        found["bands"][0] |= {"raster:scale": 0.0001, "raster:offset": spec.offset}
    else:
        found["raster:bands"] = [{"nodata": 0, "scale": 0.0001, "offset": spec.offset}]
    return found


def random_scene(rng: np.random.Generator, scene: str, time: str | datetime, size: int = 16, **more: Any) -> SceneSpec:
    """A scene of ``size`` x ``size`` cells of 20 m with gaps, clouds and every band at its resolution."""
    shift = round(-(more.get("offset") or 0.0) * 10_000)
    bands = {}
    for band in BANDS:
        n = size * 2 if band in TEN_METRES else size
        values = rng.integers(150, 4000, (n, n)) + shift
        values[rng.random((n, n)) < 0.03] = 0
        bands[band] = values.astype(np.uint16)
    scl = rng.choice([4, 5, 5, 5, 6, 7, 2], (size, size)).astype(np.uint8)
    if rng.random() < 0.5:
        scl[rng.integers(0, size), rng.integers(0, size)] = 9
    return SceneSpec(scene, str(time), bands, scl, **more)


def typical_scene(
    rng: np.random.Generator, scene: str, time: str | datetime, shape: tuple[int, int] = (16, 16), **more: Any
) -> SceneSpec:
    """As :func:`random_scene`, with a B02 that is steady but for haze, so that the outlier rule has work to do; bands
    of 20 m are missing in places, B02 sees nothing at a corner, and the first two columns are always green.
    """
    spec = random_scene(rng, scene, time, size=max(shape), **more)
    rows, cols = shape
    shift = round(-(more.get("offset") or 0.0) * 10_000)
    steady = rng.normal(500, 60, (2 * rows, 2 * cols)) + shift
    hazy = np.kron(rng.random((rows, cols)) < 0.15, np.ones((2, 2))) > 0
    steady[hazy] += 900
    steady[rng.random(steady.shape) < 0.05] = 0
    steady[: rng.integers(0, 6), : rng.integers(0, 6)] = 0
    for band, values in spec.bands.items():
        factor = 2 if band in TEN_METRES else 1
        spec.bands[band] = values[: factor * rows, : factor * cols].copy()
    spec.bands["B02"] = steady.astype(np.uint16)
    for band, dn in (("B04", 200), ("B08", 4000), ("B11", 1500), ("B12", 300)):
        green = spec.bands[band][:, : 4 if band in TEN_METRES else 2]
        green[:] = dn + shift
    for band in ("B05", "B11", "B12"):
        top, left = rng.integers(0, rows), rng.integers(0, cols)
        spec.bands[band][top : top + 4, left : left + 5] = 0
    spec.scl = rng.choice([4, 5, 5, 5, 6, 6, 7], shape).astype(np.uint8)
    if rng.random() < 0.4:
        spec.scl[rng.integers(0, rows), rng.integers(0, cols)] = rng.choice([3, 8, 9, 10])
    return spec
