"""Files that stay open between reads: opening costs as much as reading a tile, and an archive has many files."""

import os
import resource
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import rasterio
from rasterio.io import DatasetReader

_MOST = 1024
# Of the descriptors a process may have, the share for rasters.
_SHARE = 0.5

type _Key = tuple[str, int, int]


class HandlePool:
    """Open rasters of a process, each used by one thread at a time.

    At most ``most`` wait for their next use. A file that was replaced meanwhile is opened anew. When the pool is full,
    those that have not been used for long make room; where all are in use again and again, further ones are closed
    after use, as a pool that always dropped the oldest would never find any.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._idle: OrderedDict[tuple[_Key, int], DatasetReader] = OrderedDict()
        self._by_file: dict[_Key, list[int]] = {}
        self._used = 0
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

    def _take(self, key: _Key) -> DatasetReader | None:
        with self._lock:
            times = self._by_file.get(key)
            if not times:
                return None
            time = times.pop()
            if not times:
                del self._by_file[key]
            return self._idle.pop((key, time))

    def _put(self, key: _Key, dataset: DatasetReader) -> None:
        surplus = dataset
        with self._lock:
            self._used += 1
            if len(self._idle) < self._most or (dropped := self._stale()) is not None:
                if len(self._idle) < self._most:
                    dropped = None
                self._idle[key, self._used] = dataset
                self._by_file.setdefault(key, []).append(self._used)
                surplus = dropped
        if surplus is not None:
            surplus.close()

    def _stale(self) -> DatasetReader | None:
        """The one that has waited longest, taken out, when every other could have been used twice since."""
        key, time = next(iter(self._idle))
        if self._used - time <= 4 * self._most:
            return None
        self._by_file[key].remove(time)
        if not self._by_file[key]:
            del self._by_file[key]
        return self._idle.pop((key, time))


def _key(source: str) -> _Key:
    try:
        status = Path(source).stat()
    except OSError:
        return source, 0, 0
    return source, status.st_mtime_ns, status.st_size


def _most_handles() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else max(16, min(_MOST, int(soft * _SHARE)))


POOL = HandlePool(_most_handles())
# A process that was forked must not use the descriptors of its parent.
os.register_at_fork(after_in_child=lambda: POOL.__init__(_most_handles()))  # type: ignore[misc]
