"""Where a mirror is written: a folder, or a bucket by way of obstore. Paths are relative, with slashes."""

import errno
import mimetypes
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from cup4soil.errors import InvalidInput, StoreError, writing
from cup4soil.products import COG_MEDIA_TYPE
from stac_catalog.files import PART, sync_file_system

PARQUET: Final = "application/vnd.apache.parquet"
_TYPES: Final = {
    ".tif": COG_MEDIA_TYPE,
    ".json": "application/json",
    ".geojson": "application/geo+json",
    ".xml": "application/xml",
    ".parquet": PARQUET,
}
_BUCKETS: Final = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl")
_DELETED_AT_ONCE: Final = 500
# A bucket that cannot be reached is told of within this time, not after minutes.
_RETRIES: Final[dict[str, Any]] = {"max_retries": 4, "retry_timeout": timedelta(seconds=20)}
_CLIENT: Final[dict[str, Any]] = {"connect_timeout": "5 s"}


class Destination(Protocol):
    """A place for files, each of which is seen whole or not at all. Several threads may use one.

    Every method raises StoreError when the place cannot be reached or written.
    """

    address: str

    def read(self, path: str) -> bytes | None:
        """Content of a file, None where there is none."""
        ...

    def write(self, path: str, content: bytes) -> None:
        """Give a file its content."""
        ...

    def upload(self, path: str, source: Path) -> None:
        """Give a file the content of one of this machine."""
        ...

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files; those that are not there are no error."""
        ...

    def paths(self, folder: str = "") -> Iterator[str]:
        """Paths of all files in a folder and below it, in no order."""
        ...

    def settle(self) -> None:
        """Wait until what was written will be there after a loss of power."""
        ...


def destination_of(address: str) -> Destination:
    """The folder or bucket that an address names: a path, ``file://``, ``s3://``, ``gs://`` or ``az://``.

    Raises:
        InvalidInput: when there is no such kind of place, or what it needs is not installed.
    """
    parts = urlsplit(address)
    if parts.scheme in ("", "file"):
        return FolderDestination(Path(parts.path if parts.scheme else address).absolute())
    if parts.scheme not in _BUCKETS:
        raise InvalidInput(
            f"{address} is no place for a mirror", "give a folder, or an address of s3://, gs:// or az://"
        )
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ModuleNotFoundError as error:
        raise InvalidInput(f"{address} needs obstore", "install cup4soil[bucket]") from error
    try:
        opened: Any = from_url  # its types want to know which kind of bucket it is
        return BucketDestination(opened(address, client_options=_CLIENT, retry_config=_RETRIES), address)
    except (BaseError, ValueError, TypeError) as error:
        raise InvalidInput(f"{address} cannot be opened: {_told(error)}", "see the settings of the bucket") from error


class FolderDestination:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.address = str(folder)

    def read(self, path: str) -> bytes | None:
        """See :class:`Destination`."""
        with writing(self._folder):
            try:
                return (self._folder / path).read_bytes()
            except (FileNotFoundError, IsADirectoryError):
                return None

    def write(self, path: str, content: bytes) -> None:
        """See :class:`Destination`."""
        with self._part(path) as part:
            part.write_bytes(content)

    def upload(self, path: str, source: Path) -> None:
        """See :class:`Destination`."""
        with self._part(path) as part:
            shutil.copyfile(source, part)

    def remove(self, paths: Iterable[str]) -> None:
        """See :class:`Destination`; folders that are empty then go, too."""
        with writing(self._folder):
            for path in (self._folder / each for each in paths):
                path.unlink(missing_ok=True)
                self._prune(path.parent)

    def paths(self, folder: str = "") -> Iterator[str]:
        """See :class:`Destination`; what killed runs left half-written is removed and not among them."""
        for base, _, names in os.walk(self._folder / folder):
            for path in (Path(base) / name for name in names):
                if path.name.startswith(".") and path.name.endswith(PART):
                    path.unlink(missing_ok=True)
                else:
                    yield path.relative_to(self._folder).as_posix()

    def settle(self) -> None:
        """See :class:`Destination`."""
        with writing(self._folder):
            sync_file_system(self._folder)

    @contextmanager
    def _part(self, path: str) -> Iterator[Path]:
        target = self._folder / path
        part = target.with_name(f".{target.name}{PART}")
        with writing(self._folder):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                yield part
                part.rename(target)
            finally:
                part.unlink(missing_ok=True)

    def _prune(self, folder: Path) -> None:
        while folder != self._folder:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                return
            folder = folder.parent


class BucketDestination:
    """A prefix of a bucket; ``store`` is one of obstore's."""

    def __init__(self, store: Any, address: str) -> None:
        self._store = store
        self.address = address

    def read(self, path: str) -> bytes | None:
        """See :class:`Destination`."""
        with self._asking():
            try:
                return bytes(self._store.get(path).bytes())
            except FileNotFoundError:
                return None

    def write(self, path: str, content: bytes) -> None:
        """See :class:`Destination`."""
        with self._asking():
            self._store.put(path, content, attributes={"Content-Type": media_type(path)})

    def upload(self, path: str, source: Path) -> None:
        """See :class:`Destination`."""
        with source.open("rb") as stream, self._asking():
            self._store.put(path, stream, attributes={"Content-Type": media_type(path)})

    def remove(self, paths: Iterable[str]) -> None:
        """See :class:`Destination`."""
        waiting: list[str] = []
        for path in paths:
            waiting.append(path)
            if len(waiting) == _DELETED_AT_ONCE:
                self._delete(waiting)
                waiting = []
        self._delete(waiting)

    def paths(self, folder: str = "") -> Iterator[str]:
        """See :class:`Destination`."""
        with self._asking():
            for chunk in self._store.list(folder or None):
                yield from (str(each["path"]) for each in chunk)

    def settle(self) -> None:
        """See :class:`Destination`; what a bucket took it keeps."""

    def _delete(self, paths: list[str]) -> None:
        with self._asking():
            try:
                if paths:
                    self._store.delete(paths)
            except FileNotFoundError:
                for path in paths:
                    self._delete_one(path)

    def _delete_one(self, path: str) -> None:
        try:
            self._store.delete(path)
        except FileNotFoundError:
            return

    @contextmanager
    def _asking(self) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as error:
            raise StoreError(
                f"the bucket {self.address} cannot be used: {_told(error)}",
                "see that it exists, can be reached and may be written, and run again",
            ) from error


def _told(error: Exception) -> str:
    """What obstore says, without its account of its inner life."""
    return " ".join(str(error).partition("Debug source")[0].split())[:300]


def media_type(path: str) -> str:
    """What a web server should say that a file is."""
    suffix = Path(path).suffix.lower()
    return _TYPES.get(suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"
