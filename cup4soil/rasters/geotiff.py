"""Answers as GeoTIFF in memory.

GDAL writes what describes the file: its tags, its system, its bands. The cells are compressed here: igzip takes less
than half the time of GDAL's own codec. A description is kept for the next answer of the same kind, of which only the
place on the ground differs.
"""

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Self

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
# Compressing frees the interpreter; the threads begin with the first answer.
_COMPRESSORS = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="geotiff")
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
    tiles = list(_COMPRESSORS.map(_compressed, _tiles(values.astype(dtype, copy=False))))
    described = _described(
        values.shape, dtype.name, nodata, crs_code(crs_of(geobox)), tuple(bands), tuple(tags.items())
    )
    content = b"".join([described.placed(geobox.affine, [len(tile) for tile in tiles]), *tiles])
    return _cog(content, categorical=categorical) if cloud_optimised else content


@dataclass(frozen=True, slots=True)
class _Described:
    """A GeoTIFF without cells, and of each tag of its directory where the entry stands and the value there."""

    content: bytes
    entries: Mapping[int, tuple[int, int]]

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Read the first directory."""
        (directory,) = struct.unpack_from("<I", content, 4)
        (count,) = struct.unpack_from("<H", content, directory)
        places = [directory + 2 + index * _ENTRY.size for index in range(count)]
        tags = [_ENTRY.unpack_from(content, place) for place in places]
        return cls(content, {tag: (place, value) for place, (tag, _, _, value) in zip(places, tags, strict=True)})

    def placed(self, affine: Affine, sizes: Sequence[int]) -> bytes:
        """What stands before the cells: the description with its place, and where tiles of these ``sizes`` will be."""
        content = bytearray(self.content)
        struct.pack_into("<3d", content, self.entries[_PIXEL_SCALE][1], affine.a, -affine.e, 0.0)
        struct.pack_into("<6d", content, self.entries[_TIEPOINT][1], 0.0, 0.0, 0.0, affine.c, affine.f, 0.0)
        offsets = list(accumulate(sizes[:-1], initial=len(content) + 2 * 4 * len(sizes)))
        for tag, numbers in ((_TILE_OFFSETS, offsets), (_TILE_BYTES, sizes)):
            # One number stands in the entry itself.
            value = numbers[0] if len(numbers) == 1 else len(content)
            _ENTRY.pack_into(content, self.entries[tag][0], tag, _LONG, len(numbers), value)
            content += struct.pack(f"<{len(numbers)}I", *numbers)
        return bytes(content)


@lru_cache(maxsize=_KEPT)
def _described(
    shape: tuple[int, int, int],
    dtype: str,
    nodata: int,
    crs: str,
    bands: tuple[BandText, ...],
    tags: tuple[tuple[str, str], ...],
) -> _Described:
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
        return _Described.of(bytes(memory.read()))


def _tiles(values: NDArray[np.integer]) -> Iterator[NDArray[np.integer]]:
    """The cells of each tile of each band, row by row, filled up at the edges."""
    height, width = _edge(values.shape[1]), _edge(values.shape[2])
    for band in values:
        for row in range(0, band.shape[0], height):
            for col in range(0, band.shape[1], width):
                cells = band[row : row + height, col : col + width]
                missing = (height - cells.shape[0], width - cells.shape[1])
                yield np.pad(cells, ((0, missing[0]), (0, missing[1])), mode="edge") if any(missing) else cells


def _compressed(cells: NDArray[np.integer]) -> bytes:
    coded = _differences(cells) if _predictor(cells.dtype) > 1 else np.ascontiguousarray(cells)
    return isal_zlib.compress(coded, _LEVEL)


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
