"""Simulated Sentinel-2 archives at true size: ``python benchmarks/archives.py FOLDER --size 1024 --dates 60``.

A static STAC catalog of one granule per date, ten bands and scene classification as tiled deflated GeoTIFF. Fields are
bare between crops, grassland never; clouds have their classes, their shadows and their brightness; haze has
none, as in reality. The noise is such that deflate gains on it about what it gains on real reflectance.
Everything is drawn from the seed; an archive that is there already is used as it is.
"""

import argparse
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import DatasetWriter
from rasterio.transform import from_origin
from rasterio.warp import transform_geom
from rasterio.windows import Window

TEN_METRES = ("B02", "B03", "B04", "B08")
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
COMMON_NAMES = dict(
    zip(
        BANDS,
        ("blue", "green", "red", "rededge071", "rededge075", "rededge078", "nir", "nir08", "swir16", "swir22"),
        strict=True,
    )
)
CRS = "EPSG:32632"
LEFT, TOP = 600_000, 5_700_000
OFFSET_DN = 1000

# Reflectance x 10 000 of the surfaces, in the order of the bands.
_SOIL = (900, 1200, 1600, 1900, 2050, 2200, 2350, 2500, 3100, 2700)
_LEAVES = (300, 600, 350, 900, 2500, 3100, 3400, 3500, 1900, 900)
_CLOUD = (5200, 5100, 5100, 5200, 5300, 5400, 5300, 5400, 3600, 2800)
_HAZE = (900, 800, 700, 650, 600, 550, 500, 480, 200, 120)
_FIELD_ROWS, _FIELD_COLS = 16, 24
_CLOUD_STEP = 32
_YEARS = 5
_NODATA, _SHADOW, _LEAVES_CLASS, _SOIL_CLASS, _CLOUD_CLASS = 0, 3, 4, 5, 9
_FORM = 1


@dataclass(frozen=True, slots=True)
class ArchiveSpec:
    """What an archive holds.

    ``size`` cells of 20 m along each side, ``dates`` over five years, ``tile`` the edge of a file's tiles in cells. Of
    the dates only ``distinct`` are drawn, where that is given; the others' files are hard links to theirs.
    """

    size: int
    dates: int
    tile: int = 512
    distinct: int | None = None
    seed: int = 0

    @property
    def name(self) -> str:
        """Name of the archive's folder."""
        few = "" if self.distinct is None else f"-{self.distinct}-distinct"
        return f"s2-{self.size}x{self.size}x{self.dates}{few}-tile{self.tile}-seed{self.seed}-form{_FORM}"

    @property
    def decoded_bytes(self) -> int:
        """Bytes of all files once decoded."""
        cell = 2 * (4 * len(TEN_METRES) + len(BANDS) - len(TEN_METRES)) + 1
        return self.size**2 * self.dates * cell


@dataclass(frozen=True, slots=True)
class _Landscape:
    """What all dates share: brightness of the soil and the crop's calendar by field, and a sheet of noise."""

    brightness: NDArray[np.float32]
    arable: NDArray[np.bool_]
    sowing_day: NDArray[np.float32]
    noise: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Sky:
    """Clouds of one date on a coarse grid, positive inside; haze alike; the cell from which the swath sees nothing."""

    clouds: NDArray[np.float32]
    haze: NDArray[np.float32]
    swath_edge: int


def simulated_archive(spec: ArchiveSpec, folder: Path, threads: int = 2) -> Path:
    """Path of the archive's ``catalog.json``, which is written first where it does not exist."""
    root = folder / spec.name
    if not root.is_dir():
        part = root.with_name(root.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        _write(spec, part, threads)
        part.rename(root)
    return root / "catalog.json"


def thinned(catalog: Path, every: int) -> Path:
    """A catalog beside ``catalog`` with each ``every``-th of its dates."""
    collection = json.loads((catalog.parent / "s2" / "collection.json").read_text())
    items = [link for link in collection["links"] if link["rel"] == "item"]
    others = [link for link in collection["links"] if link["rel"] != "item"]
    name = f"every-{every}"
    path = catalog.with_name(f"{name}.json")
    text = catalog.read_text().replace("./s2/collection.json", f"./s2/{name}.json")
    path.write_text(text.replace("./catalog.json", f"./{name}.json"))
    links = [{**link, "href": link["href"].replace("catalog.json", f"{name}.json")} for link in others]
    (catalog.parent / "s2" / f"{name}.json").write_text(json.dumps(collection | {"links": links + items[::every]}))
    return path


def _write(spec: ArchiveSpec, root: Path, threads: int) -> None:
    landscape = _landscape(spec)
    scenes = [f"S2_{number:04d}" for number in range(spec.dates)]
    drawn = spec.dates if spec.distinct is None else min(spec.distinct, spec.dates)

    def draw(number: int) -> float:
        return _draw_scene(spec, landscape, number, root / "s2" / scenes[number])

    with ThreadPoolExecutor(threads) as pool:
        cloud_cover = list(pool.map(draw, range(drawn)))
    for number, scene in enumerate(scenes):
        folder = root / "s2" / scene
        if number >= drawn:
            _link(root / "s2" / scenes[number % drawn], folder)
        item = _item(spec, scene, _time(spec, number), cloud_cover[number % drawn])
        (folder / f"{scene}.json").write_text(json.dumps(item))
    _write_catalog(root, scenes)


def _write_catalog(root: Path, scenes: list[str]) -> None:
    links = [{"rel": "item", "href": f"./{s}/{s}.json", "type": "application/geo+json"} for s in scenes]
    collection = {
        "type": "Collection",
        "id": "sentinel-2-l2a",
        "stac_version": "1.1.0",
        "description": "Simulated Sentinel-2 L2A",
        "license": "other",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "links": [{"rel": "root", "href": "../catalog.json"}, *links],
    }
    catalog = {
        "type": "Catalog",
        "id": "simulated",
        "stac_version": "1.1.0",
        "description": "Simulated Sentinel-2 archive",
        "links": [{"rel": "root", "href": "./catalog.json"}, {"rel": "child", "href": "./s2/collection.json"}],
    }
    (root / "s2" / "collection.json").write_text(json.dumps(collection))
    (root / "catalog.json").write_text(json.dumps(catalog))


def _link(source: Path, target: Path) -> None:
    target.mkdir()
    for file in source.glob("*.tif"):
        os.link(file, target / file.name)


def _time(spec: ArchiveSpec, number: int) -> datetime:
    """Dates evenly over the years, at the hour of the overpass."""
    day = (number + 0.5) * _YEARS * 365.25 / spec.dates
    return datetime(2018, 1, 1, 10, 30, tzinfo=UTC) + timedelta(days=int(day))


def _landscape(spec: ArchiveSpec) -> _Landscape:
    random = np.random.default_rng((spec.seed, 0))
    fields = (-(-spec.size // _FIELD_ROWS), -(-spec.size // _FIELD_COLS) + 1)
    sheet = random.standard_normal((2 * spec.tile + 512, 2 * spec.size + 512), dtype=np.float32)
    noise = 45 * sheet
    for shift in (1, 2):
        noise += 25 * (np.roll(sheet, shift, 0) + np.roll(sheet, shift, 1))
    return _Landscape(
        random.uniform(0.75, 1.3, fields).astype(np.float32),
        random.random(fields) < 0.6,
        random.choice([100.0, 125.0, 270.0, 290.0], fields).astype(np.float32),
        noise,
    )


def _sky(spec: ArchiveSpec, random: np.random.Generator) -> _Sky:
    shape = (spec.size // _CLOUD_STEP + 2, spec.size // _CLOUD_STEP + 2)
    clouds = random.standard_normal(shape, dtype=np.float32)
    haze = random.standard_normal(shape, dtype=np.float32)
    edge = int(spec.size * random.uniform(0.5, 1.0)) if random.random() < 0.25 else 2 * spec.size
    return _Sky(clouds - np.float32(np.quantile(clouds, 1 - random.uniform(0.0, 0.6))), haze - np.float32(1.6), edge)


def _between(coarse: NDArray[np.float32], rows: NDArray[np.int_], cols: NDArray[np.int_]) -> NDArray[np.float32]:
    """The coarse grid interpolated bilinearly at cells."""

    def weights(cells: NDArray[np.int_], steps: int) -> NDArray[np.float32]:
        distance = np.abs(np.subtract.outer(cells / _CLOUD_STEP, np.arange(steps)))
        return np.maximum(0.0, 1.0 - distance).astype(np.float32)

    return weights(rows, coarse.shape[0]) @ coarse @ weights(cols, coarse.shape[1]).T


def _leaf_cover(landscape: _Landscape, day: int, rows: NDArray[np.int_], cols: NDArray[np.int_]) -> NDArray[np.float32]:
    """Share of the ground under leaves: grassland always, crops for five months from sowing on."""
    row, col = rows // _FIELD_ROWS, cols
    field = np.ix_(row, col // _FIELD_COLS)
    age = (day - landscape.sowing_day) % 365
    crop = np.clip(np.minimum((age - 20) / 40, (200 - age) / 20), 0.03, 0.92)
    return np.where(landscape.arable, crop, 0.85).astype(np.float32)[field]


def _draw_scene(spec: ArchiveSpec, landscape: _Landscape, number: int, folder: Path) -> float:
    """Write the files of a date; returns its cloud cover in percent."""
    random = np.random.default_rng((spec.seed, 1, number))
    sky, day = _sky(spec, random), _time(spec, number).timetuple().tm_yday
    folder.mkdir(parents=True)
    cloudy = 0
    with ExitStack() as stack:
        files = {name: stack.enter_context(_create(spec, folder, name)) for name in (*BANDS, "SCL")}
        for first in range(0, spec.size, spec.tile):
            rows = np.arange(first, min(first + spec.tile, spec.size))
            cols = np.arange(spec.size)
            classes, weights = _surfaces(landscape, sky, day, rows, cols)
            cloudy += int((classes == _CLOUD_CLASS).sum())
            files["SCL"].write(classes, 1, window=Window(0, first, spec.size, rows.size))
            for name, values in _reflectances(landscape, classes, weights, random):
                factor = values.shape[0] // rows.size
                window = Window(0, first * factor, spec.size * factor, rows.size * factor)
                files[name].write(values, 1, window=window)
    return 100.0 * cloudy / spec.size**2


def _surfaces(
    landscape: _Landscape, sky: _Sky, day: int, rows: NDArray[np.int_], cols: NDArray[np.int_]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Classes of the cells, and the weights of soil, leaves, cloud and haze in each."""
    leaves = _leaf_cover(landscape, day, rows, cols)
    cloud = _between(sky.clouds, rows, cols)
    shadow = _between(sky.clouds, np.maximum(rows - 8, 0), np.maximum(cols - 8, 0))
    haze = np.clip(_between(sky.haze, rows, cols), 0.0, 1.0)
    soil = landscape.brightness[np.ix_(rows // _FIELD_ROWS, cols // _FIELD_COLS)]
    classes = np.where(leaves > 0.5, _LEAVES_CLASS, _SOIL_CLASS).astype(np.uint8)
    classes[shadow > 0] = _SHADOW
    classes[cloud > 0] = _CLOUD_CLASS
    classes[:, cols >= sky.swath_edge] = _NODATA
    dark = np.where(classes == _SHADOW, np.float32(0.4), np.float32(1.0))
    clear = np.where(classes == _CLOUD_CLASS, np.float32(0.05), dark)
    opaque = np.where(classes == _CLOUD_CLASS, np.minimum(1.0, 0.5 + cloud), 0.0)
    return classes, np.stack([clear * (1 - leaves) * soil, clear * leaves, opaque, haze]).astype(np.float32)


def _reflectances(
    landscape: _Landscape, classes: NDArray[np.uint8], weights: NDArray[np.float32], random: np.random.Generator
) -> Iterator[tuple[str, NDArray[np.uint16]]]:
    """The bands' stored numbers over the cells of ``classes``, each at its own resolution."""
    rows, cols = classes.shape
    outside = classes == _NODATA
    for index, name in enumerate(BANDS):
        spectrum = np.array([_SOIL[index], _LEAVES[index], _CLOUD[index], _HAZE[index]], np.float32)
        values = np.tensordot(spectrum, weights, 1) + np.float32(OFFSET_DN)
        values[outside] = -np.inf
        factor = 2 if name in TEN_METRES else 1
        values = values.repeat(factor, 0).repeat(factor, 1)
        row, col = random.integers(0, 512, 2)
        noise = landscape.noise[row : row + factor * rows, col : col + factor * cols]
        values += noise * np.float32(1.0 if factor == 2 else 0.8)
        yield name, np.clip(values, 0, 20_000).astype(np.uint16)


def _create(spec: ArchiveSpec, folder: Path, name: str) -> DatasetWriter:
    """A file to write; one smaller than a tile is a single tile of its own size, in whole sixteens."""
    cell = 10 if name in TEN_METRES else 20
    edge = spec.size * 20 // cell
    tile = min(spec.tile, -(-edge // 16) * 16)
    return rasterio.open(
        folder / f"{name}.tif",
        "w",
        driver="GTiff",
        height=edge,
        width=edge,
        count=1,
        dtype="uint8" if name == "SCL" else "uint16",
        nodata=0,
        crs=CRS,
        transform=from_origin(LEFT, TOP, cell, cell),
        tiled=True,
        blockxsize=tile,
        blockysize=tile,
        compress="DEFLATE",
        predictor=1 if name == "SCL" else 2,
        zlevel=6,
    )


def _item(spec: ArchiveSpec, scene: str, time: datetime, cloud_cover: float) -> dict[str, Any]:
    right, bottom = LEFT + 20 * spec.size, TOP - 20 * spec.size
    ring = [[LEFT, bottom], [right, bottom], [right, TOP], [LEFT, TOP], [LEFT, bottom]]
    geometry = transform_geom(CRS, "EPSG:4326", {"type": "Polygon", "coordinates": [ring]})
    xs, ys = zip(*geometry["coordinates"][0], strict=True)
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
            "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
        ],
        "id": scene,
        "collection": "sentinel-2-l2a",
        "geometry": {"type": geometry["type"], "coordinates": [list(map(list, geometry["coordinates"][0]))]},
        "bbox": [min(xs), min(ys), max(xs), max(ys)],
        "properties": {
            "datetime": time.isoformat().replace("+00:00", "Z"),
            "platform": "sentinel-2a",
            "grid:code": "MGRS-32UNB",
            "eo:cloud_cover": round(cloud_cover, 2),
            "view:sun_elevation": round(43 - 20 * float(np.cos(2 * np.pi * time.timetuple().tm_yday / 365.25)), 2),
            "proj:code": CRS,
            "s2:processing_baseline": "05.00",
            "cup4soil:simulated": True,
        },
        "links": [{"rel": "collection", "href": "../collection.json", "type": "application/json"}],
        "assets": {name: _asset(spec, name) for name in (*BANDS, "SCL")},
    }


def _asset(spec: ArchiveSpec, name: str) -> dict[str, Any]:
    cell = 10 if name in TEN_METRES else 20
    edge = spec.size * 20 // cell
    found: dict[str, Any] = {
        "href": f"./{name}.tif",
        "type": "image/tiff; application=geotiff",
        "roles": ["data"],
        "proj:shape": [edge, edge],
        "proj:transform": [cell, 0, LEFT, 0, -cell, TOP],
        "gsd": cell,
        "nodata": 0,
        "data_type": "uint8" if name == "SCL" else "uint16",
    }
    if name == "SCL":
        return found
    band = {"name": name, "eo:common_name": COMMON_NAMES[name]}
    return found | {"bands": [band], "raster:scale": 1e-4, "raster:offset": -OFFSET_DN / 1e4}


def main() -> None:
    """Write an archive and say what it weighs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--dates", type=int, default=60)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--distinct", type=int)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    spec = ArchiveSpec(options.size, options.dates, options.tile, options.distinct)
    catalog = simulated_archive(spec, options.folder, options.threads)
    stored = sum(path.stat().st_size for path in catalog.parent.rglob("*.tif"))
    print(f"{catalog}: {spec.decoded_bytes / 1e9:.2f} GB decoded, {stored / 1e9:.2f} GB as stored")


if __name__ == "__main__":
    main()
