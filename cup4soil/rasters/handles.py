"""Files that stay open between reads: opening costs as much as reading a tile, and an archive has many files."""

import atexit
import os
import resource
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np
import rasterio
from rasterio.env import set_gdal_config
from rasterio.io import DatasetReader

_MOST = 1024
# Tiles that GDAL keeps decoded, for the whole process. Its default is a twentieth of the machine's memory, which open
# files would fill; blocks follow the tiles of the files, and what was decoded once is rarely wanted again.
_CACHE_BYTES = 64 * 2**20
POOL_BYTES = 256 * 2**20
# Of the descriptors a process may have, the share for rasters.
_SHARE = 0.5

type _Key = tuple[str, int, int]


class HandlePool:
    """Open rasters of a process, each used by one thread at a time.

    At most ``most`` wait for their next use, and no more than ``most_bytes`` of the buffers they hold, of a tile each.
    A file that was replaced meanwhile is opened anew. When the pool is full, one that has not been used for long makes
    room; where all are used again and again, further ones are closed after use, as a pool that always dropped the
    oldest would never find any.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._idle: OrderedDict[tuple[_Key, int], DatasetReader] = OrderedDict()
        self._by_file: dict[_Key, list[int]] = {}
        self._returns = 0
        self._lock = Lock()

    @contextmanager
    def open(self, source: str) -> Iterator[DatasetReader]:
        """An open raster; as ``rasterio.open``. After an error it is not used again."""
        key = _key(source)
        dataset = self._take(key) or rasterio.open(source)
        try:
            yield dataset
        except BaseException:
            dataset.close()
            raise
        self._put(key, dataset)

    def close(self) -> None:
        """Close all that wait."""
        with self._lock:
            for dataset in self._idle.values():
                dataset.close()
            self._idle.clear()
            self._by_file.clear()
            self._bytes = 0

    def _take(self, key: _Key) -> DatasetReader | None:
        with self._lock:
            return self._out(key, self._by_file[key][-1]) if key in self._by_file else None

    def _put(self, key: _Key, dataset: DatasetReader) -> None:
        unused = []
        with self._lock:
            self._returns += 1
            while self._full() and (oldest := self._long_unused()) is not None:
                unused.append(oldest)
            if self._full():
                unused.append(dataset)
            else:
                self._idle[key, self._returns] = dataset
                self._by_file.setdefault(key, []).append(self._returns)
                self._bytes += _buffer_bytes(dataset)
        for each in unused:
            each.close()

    def _full(self) -> bool:
        return len(self._idle) >= self._most or self._bytes >= self._most_bytes

    def _long_unused(self) -> DatasetReader | None:
        """The one that has waited longest, if all the others could have been used several times since."""
        if not self._idle:
            return None
        key, time = next(iter(self._idle))
        return self._out(key, time) if self._returns - time > 4 * len(self._idle) else None

    def _out(self, key: _Key, time: int) -> DatasetReader:
        self._by_file[key].remove(time)
        if not self._by_file[key]:
            del self._by_file[key]
        dataset = self._idle.pop((key, time))
        self._bytes -= _buffer_bytes(dataset)
        return dataset


def _buffer_bytes(dataset: DatasetReader) -> int:
    """A tile as it is decoded: what an open file holds of a packed one is a little less."""
    rows, cols = dataset.block_shapes[0]
    return int(rows * cols * np.dtype(dataset.dtypes[0]).itemsize)


def _key(source: str) -> _Key:
    try:
        status = Path(source).stat()
    except OSError:
        return source, 0, 0
    return source, status.st_mtime_ns, status.st_size


def _most_handles() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else max(16, min(_MOST, int(soft * _SHARE)))


def keep_decoded(most_bytes: int) -> None:
    """Let GDAL keep so much of decoded tiles, for the whole process: a service meets the same ones again."""
    set_gdal_config("GDAL_CACHEMAX", most_bytes)


POOL = HandlePool(_most_handles(), POOL_BYTES)
atexit.register(POOL.close)
if "GDAL_CACHEMAX" not in os.environ:
    set_gdal_config("GDAL_CACHEMAX", _CACHE_BYTES)

# A process that was forked must not use the descriptors of its parent.
os.register_at_fork(after_in_child=lambda: POOL.__init__(_most_handles(), POOL_BYTES))  # type: ignore[misc]
