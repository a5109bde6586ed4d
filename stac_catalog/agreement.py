"""Whether a raster file is what the item that lists it says."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cup4soil.errors import InvalidInput
from cup4soil.grids import crs_of, parse_crs
from cup4soil.rasters.overview import pyramid
from cup4soil.rasters.reading import RasterInfo, open_raster, raster_info
from cup4soil.rasters.writing import BLOCK_SIZE

type Document = dict[str, Any]

_GRID = ("proj:code", "proj:wkt2", "proj:shape", "proj:transform")
_RELATIVE = 1e-9  # GeoTIFF keeps a transform as cell size and tie point, which need not read back to the last bit


def disagreements(path: Path, asset: Document, properties: Document) -> Iterator[str]:
    """Where the file at ``path`` differs from its asset and from the properties of the item; unstated is no fault.

    Raises:
        InvalidRaster: when the file cannot be read, has no CRS or is rotated.
    """
    info = raster_info(path)
    # What an asset states of its grid stands before what its item does.
    stated = {name: asset.get(name, properties.get(name)) for name in _GRID}
    yield from _grid(info, stated)
    bands = asset.get("bands")
    if not isinstance(bands, list):
        return
    if len(bands) != len(info.names):
        yield f"has {len(info.names)} bands, the item states {len(bands)}"
        return
    with open_raster(path) as dataset:
        types = tuple(dataset.dtypes)
    for index, band in enumerate(bands):
        if isinstance(band, dict):
            yield from _band(index, band, info, types[index])


def layout_problem(path: Path) -> str | None:
    """What keeps a large raster file from being read in parts; None when nothing does.

    Raises:
        InvalidRaster: when the file cannot be read.
    """
    layout = pyramid(path)
    if max(layout.shape) <= BLOCK_SIZE or (layout.tiled and layout.factors):
        return None
    return "has no tiles or no overviews, though larger than a block"


def _grid(info: RasterInfo, stated: Document) -> Iterator[str]:
    crs = stated["proj:code"] or stated["proj:wkt2"]
    if crs is not None and not _is_crs(crs, info):
        yield f"has another CRS than {crs}, which the item states"
    shape, transform = stated["proj:shape"], stated["proj:transform"]
    if shape is not None and shape != list(info.geobox.shape):
        yield f"has shape {list(info.geobox.shape)}, the item states {shape}"
    found = list(info.geobox.affine)[:6]
    if transform is not None and not _close(transform, found):
        yield f"has transform {found}, the item states {transform}"


def _band(index: int, band: Document, info: RasterInfo, dtype: str) -> Iterator[str]:
    found = {
        "name": info.names[index],
        "data_type": dtype,
        "nodata": info.nodata[index],
        "raster:scale": info.scales[index],
        "raster:offset": info.offsets[index],
    }
    for field, value in found.items():
        if field in band and band[field] != value:
            yield f"band {index + 1} has {field} {value}, the item states {band[field]}"


def _is_crs(stated: object, info: RasterInfo) -> bool:
    try:
        return parse_crs(str(stated)) == crs_of(info.geobox)
    except InvalidInput:
        return False


def _close(stated: object, found: list[float]) -> bool:
    if not isinstance(stated, list) or len(stated) < len(found):
        return False
    pairs = zip(stated, found, strict=False)
    return all(isinstance(s, int | float) and math.isclose(s, f, rel_tol=_RELATIVE, abs_tol=1e-12) for s, f in pairs)
