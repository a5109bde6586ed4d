"""Results of single blocks, kept on disk until the whole is put together: small, quick, whole or not there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile

from cup4soil.errors import StoreError, writing

_LAYERS = "layers"


def write_scratch(path: Path, layers: Mapping[str, NDArray[np.int16]], facts: Mapping[str, Any]) -> None:
    """Write the layers of a block, (bands, rows, columns) each, and facts about it, under ``path`` (without suffix).

    The facts come last: where they are, the block is whole. Writing the same block again replaces it.

    Raises:
        StoreError: when it cannot be written.
    """
    stacked = np.concatenate(list(layers.values()))
    part = path.with_name(f".{path.name}-{uuid4().hex}.tif")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(_encoded(stacked))
            part.replace(path.with_suffix(".tif"))
            told = {**facts, _LAYERS: {name: each.shape[0] for name, each in layers.items()}}
            note = path.with_name(f".{path.name}-{uuid4().hex}.json")
            note.write_text(json.dumps(told), encoding="utf-8")
            note.replace(path.with_suffix(".json"))
    finally:
        part.unlink(missing_ok=True)


def _encoded(stacked: NDArray[np.int16]) -> bytes:
    """The file's bytes. GDAL writes them to memory: on a full disk it would end without a word."""
    count, rows, cols = stacked.shape
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", count=count, height=rows, width=cols, dtype="int16", compress="ZSTD", zstd_level=1,
            num_threads="2", interleave="band", bigtiff="IF_SAFER", transform=rasterio.Affine(1, 0, 0, 0, -1, rows),
        ) as dataset:  # fmt: skip
            dataset.write(stacked)
        return bytes(memory.getbuffer())


def scratch_facts(path: Path) -> dict[str, Any] | None:
    """What was told of a block, None when it is not there whole."""
    note = path.with_suffix(".json")
    if not note.is_file() or not path.with_suffix(".tif").is_file():
        return None
    try:
        told = json.loads(note.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def read_scratch(path: Path) -> dict[str, NDArray[np.int16]]:
    """The layers of a block that is there whole.

    Raises:
        StoreError: when it is not, or is damaged.
    """
    told = scratch_facts(path)
    if told is None:
        raise StoreError(f"block {path.name} is not finished", "run again")
    try:
        with rasterio.open(path.with_suffix(".tif")) as dataset:
            stacked = dataset.read()
    except (RasterioError, NotGeoreferencedWarning) as error:
        raise StoreError(f"block {path.name} is damaged: {error}", f"remove {path.parent} and run again") from error
    found, start = {}, 0
    for name, bands in told[_LAYERS].items():
        found[name] = stacked[start : start + bands]
        start += bands
    return found
