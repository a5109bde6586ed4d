"""Results of single blocks, kept on disk until the whole is put together: quick, whole or not there.

The integers lie as they are: they are read back once, soon, and packing them took a fourteenth of the time that it
takes to make a block.
"""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import StoreError, writing

_LAYERS, _CHECKSUM = "layers", "crc32"
_STORED = np.dtype("<i2")
_CELLS, _FACTS = ".cells", ".json"


def write_scratch(path: Path, layers: Mapping[str, NDArray[np.int16]], facts: Mapping[str, Any]) -> None:
    """Write the layers of a block, (bands, rows, columns) each, and facts about it, under ``path`` (without suffix).

    The facts come last: where they are, the block is whole. Writing the same block again replaces it.

    Raises:
        StoreError: when it cannot be written.
    """
    part = path.with_name(f".{path.name}-{uuid4().hex}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            checksum = _write(part, layers)
            part.replace(path.with_suffix(_CELLS))
            shapes = {name: each.shape for name, each in layers.items()}
            part.write_text(json.dumps({**facts, _LAYERS: shapes, _CHECKSUM: checksum}), encoding="utf-8")
            part.replace(path.with_suffix(_FACTS))
    finally:
        part.unlink(missing_ok=True)


def _write(path: Path, layers: Mapping[str, NDArray[np.int16]]) -> int:
    """Write the cells of all layers, one behind the other; their checksum."""
    checksum = 0
    with path.open("wb") as file:
        for each in layers.values():
            cells = np.ascontiguousarray(each, dtype=_STORED).reshape(-1).view(np.uint8).data
            checksum = zlib.crc32(cells, checksum)
            file.write(cells)
    return checksum


def scratch_facts(path: Path) -> dict[str, Any] | None:
    """What was told of a block, None when it is not there whole."""
    note = path.with_suffix(_FACTS)
    if not note.is_file() or not path.with_suffix(_CELLS).is_file():
        return None
    try:
        told = json.loads(note.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return told if isinstance(told, dict) and _LAYERS in told else None


def read_scratch(path: Path) -> dict[str, NDArray[np.int16]]:
    """The layers of a block that is there whole.

    Raises:
        StoreError: when it is not, or is damaged.
    """
    told = scratch_facts(path)
    if told is None:
        raise StoreError(f"block {path.name} is not finished", "run again")
    try:
        cells = np.fromfile(path.with_suffix(_CELLS), dtype=_STORED)
    except OSError as error:
        raise StoreError(f"block {path.name} cannot be read: {error}", "run again") from error
    # A machine that went down may leave a file of the right length without what was written to it.
    if zlib.crc32(cells.view(np.uint8).data) != told[_CHECKSUM]:
        raise StoreError(f"block {path.name} is damaged", f"remove {path.parent} and run again")
    found, start = {}, 0
    for name, (bands, rows, cols) in told[_LAYERS].items():
        size = bands * rows * cols
        found[name] = cells[start : start + size].reshape(bands, rows, cols).astype(np.int16, copy=False)
        start += size
    return found
