"""Answers as GeoTIFF in memory.

GDAL writes what describes the file: its tags, its system, its bands. The cells are compressed here, because
igzip does so in less than half the time that GDAL's own codec takes, and a description is kept for the next answer of the
same kind: only its place on the ground changes.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from isal import isal_zlib
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.io import MemoryFile

from cup4soil.grids import crs_code, crs_of

_TILE = 256
_LEVEL = 2
# TIFF 6.0: an entry is a tag, a type, a count and a value, or where that lies; tags as in the specifications of TIFF
# and GeoTIFF.
_ENTRY = struct.Struct("<HHII")
_LONG = 4
_TILE_OFFSETS, _TILE_BYTES = 324, 325
_PIXEL_SCALE, _TIEPOINT = 33550, 33922
_KEPT = 256
# Not a matrix that GDAL takes for none.
_ANYWHERE = Affine(2, 0, 2, 0, -2, 2)


@dataclass(frozen=True, slots=True)
class BandText:
    """What a GeoTIFF says of a band; value = stored * ``scale`` + ``offset``."""

    name: str
    unit: str
    scale: float
    offset: float
    long_name: str = ""


def geotiff_bytes(
    values: NDArray[np.integer],
    geobox: GeoBox,
    bands: Sequence[BandText],
    *,
    nodata: int,
    tags: Mapping[str, str],
    cloud_optimised: bool = False,
    categorical: bool = False,
) -> bytes:
    """A GeoTIFF of ``values``, shape (bands, rows, columns), north up; with overviews when ``cloud_optimised``.

    Its cells are tiled, compressed with DEFLATE, and take less than 4 GiB.
    """
    dtype = values.dtype.newbyteorder("<")
    described = _described(
        values.shape, dtype.name, nodata, crs_code(crs_of(geobox)), tuple(bands), tuple(tags.items())
    )
    tiles = [isal_zlib.compress(tile, _LEVEL) for tile in _tiles(values.astype(dtype, copy=False))]
    content = b"".join([_placed(described, geobox.affine, [len(tile) for tile in tiles]), *tiles])
    return _cog(content, categorical=categorical) if cloud_optimised else content


@lru_cache(maxsize=_KEPT)
def _described(
    shape: tuple[int, int, int],
    dtype: str,
    nodata: int,
    crs: str,
    bands: tuple[BandText, ...],
    tags: tuple[tuple[str, str], ...],
) -> bytes:
    """A GeoTIFF without cells, anywhere in its system."""
    count, rows, cols = shape
    with rasterio.Env(GDAL_PAM_ENABLED="NO"), MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            height=rows,
            width=cols,
            count=count,
            dtype=dtype,
            nodata=nodata,
            crs=crs,
            transform=_ANYWHERE,
            compress="DEFLATE",
            predictor=_predictor(np.dtype(dtype)),
            interleave="band",
            tiled=True,
            blockxsize=_edge(cols),
            blockysize=_edge(rows),
            bigtiff="NO",
            endianness="LITTLE",
            sparse_ok=True,
        ) as dataset:
            dataset.update_tags(**dict(tags))
            dataset.scales = tuple(band.scale for band in bands)
            dataset.offsets = tuple(band.offset for band in bands)
            dataset.units = tuple("" if band.unit == "1" else band.unit for band in bands)
            for index, band in enumerate(bands, 1):
                dataset.set_band_description(index, band.name)
                if band.long_name:
                    dataset.update_tags(index, long_name=band.long_name)
        return bytes(memory.read())


def _placed(described: bytes, affine: Affine, sizes: Sequence[int]) -> bytes:
    """What stands before the cells: the description with its place, and where each of the tiles will be."""
    content, entries = bytearray(described), dict(_entries(described))
    struct.pack_into("<3d", content, entries[_PIXEL_SCALE][1], affine.a, -affine.e, 0.0)
    struct.pack_into("<6d", content, entries[_TIEPOINT][1], 0.0, 0.0, 0.0, affine.c, affine.f, 0.0)
    start = len(content) + 2 * 4 * len(sizes)
    offsets = list(accumulate(sizes[:-1], initial=start))
    for tag, numbers in ((_TILE_OFFSETS, offsets), (_TILE_BYTES, sizes)):
        # One number stands in the entry itself.
        value = numbers[0] if len(numbers) == 1 else len(content)
        _ENTRY.pack_into(content, entries[tag][0], tag, _LONG, len(numbers), value)
        content += struct.pack(f"<{len(numbers)}I", *numbers)
    return bytes(content)


def _entries(described: bytes) -> Iterator[tuple[int, tuple[int, int]]]:
    """Of each tag of the first directory: where its entry stands, and the value there."""
    (directory,) = struct.unpack_from("<I", described, 4)
    (count,) = struct.unpack_from("<H", described, directory)
    for position in range(directory + 2, directory + 2 + count * _ENTRY.size, _ENTRY.size):
        tag, _, _, value = _ENTRY.unpack_from(described, position)
        yield tag, (position, value)


def _tiles(values: NDArray[np.integer]) -> Iterator[NDArray[np.integer]]:
    """The tiles of each band, row by row, as they are compressed; those at the edges are filled up."""
    height, width = _edge(values.shape[1]), _edge(values.shape[2])
    for band in values:
        for row in range(0, band.shape[0], height):
            for col in range(0, band.shape[1], width):
                cells = band[row : row + height, col : col + width]
                missing = (height - cells.shape[0], width - cells.shape[1])
                whole = np.pad(cells, ((0, missing[0]), (0, missing[1])), mode="edge") if any(missing) else cells
                yield _differences(whole) if _predictor(values.dtype) > 1 else np.ascontiguousarray(whole)


def _differences(cells: NDArray[np.integer]) -> NDArray[np.integer]:
    """TIFF's predictor 2: each cell less its left neighbour, modulo the type's range."""
    found = np.empty_like(cells, order="C")
    found[:, 0] = cells[:, 0]
    np.subtract(cells[:, 1:], cells[:, :-1], out=found[:, 1:])
    return found


def _predictor(dtype: np.dtype[np.integer]) -> int:
    return 1 if dtype.itemsize == 1 else 2


def _edge(cells: int) -> int:
    """Edge of a tile: a multiple of 16, as TIFF has it, no larger than need be."""
    return min(_TILE, -(-cells // 16) * 16)


def _cog(content: bytes, *, categorical: bool) -> bytes:
    resampling = "NEAREST" if categorical else "AVERAGE"
    options = {"compress": "DEFLATE", "predictor": "YES", "level": "6", "blocksize": "512", "num_threads": "1"}
    with (
        rasterio.Env(GDAL_PAM_ENABLED="NO"),
        MemoryFile(content, ext=".tif") as memory,
        MemoryFile(ext=".tif") as result,
    ):
        rasterio.shutil.copy(memory.name, result.name, driver="COG", overview_resampling=resampling, **options)
        return bytes(result.read())
