"""Files of products that clients register: from hosts that the operator allows, or from the store itself.

Nothing else is fetched on a client's word, and what comes is what the item states, or is refused.
"""

import hashlib
import http.client
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from cup4soil.errors import InvalidInput, LimitExceeded, writing
from stac_catalog.hosts import connected, is_allowed
from stac_catalog.item_records import AssetFile
from stac_catalog.search_values import shown
from stac_catalog.store import Store
from stac_catalog.visibility import is_hidden

_MIB: Final = 1024 * 1024
_PIECE: Final = 1024 * 1024
_QUIET_S: Final = 30.0
_LONGEST_S: Final = 600.0
_PARTS: Final = 3  # of the path of a file in the catalog: collection, item, file


class Deliveries:
    """Brings files; ``hosts`` as the setting ``asset_hosts`` has them, ``most_mib`` for all files of one request."""

    def __init__(self, store: Store, hosts: Sequence[str], most_mib: int) -> None:
        self._store = store
        self._hosts = hosts
        self._most = most_mib * _MIB

    def check(self, files: Sequence[AssetFile]) -> None:
        """See that the files of one request are not too large.

        Raises:
            LimitExceeded: when they are.
        """
        if sum(each.size for each in files) > self._most:
            raise LimitExceeded(f"the assets have more than {self._most // _MIB} MiB", "ask the operator to raise it")

    def bring(self, files: Sequence[AssetFile], own: str, folder: Path) -> None:
        """Put an item's files into ``folder``; addresses that begin with ``own`` are those of the store's catalog.

        Raises:
            InvalidInput: when one may not be fetched, or is not what the item states.
        """
        end = time.monotonic() + _LONGEST_S
        for each in files:
            digest, size = hashlib.sha256(), 0
            with writing(folder), (folder / each.name).open("wb") as target:
                for piece in self._pieces(each, own):
                    size += len(piece)
                    if size > each.size or time.monotonic() > end:
                        break
                    digest.update(piece)
                    target.write(piece)
            if size != each.size or digest.hexdigest() != each.sha256:
                raise InvalidInput(
                    f"the asset {each.key} is not the file that its file:size and file:checksum state",
                    "state those of the file, and see that it can be read in time",
                )

    def _pieces(self, file: AssetFile, own: str) -> Iterator[bytes]:
        if file.href.startswith(own):
            with self._own_file(file, unquote(urlsplit(file.href.removeprefix(own)).path)).open("rb") as stream:
                yield from iter(lambda: stream.read(_PIECE), b"")
            return
        if not is_allowed(file.href, self._hosts):
            raise InvalidInput(
                f"the asset {file.key} is at {shown(file.href)}, which is no host that assets may come from",
                "ask the operator, or register the product where its files are",
            )
        try:
            with _opened(file.href) as answer:
                yield from iter(lambda: answer.read1(_PIECE), b"")
        except (OSError, http.client.HTTPException) as error:
            raise InvalidInput(
                f"the asset {file.key} cannot be fetched: {type(error).__name__}", "see that it can be read"
            ) from error

    def _own_file(self, file: AssetFile, path: str) -> Path:
        """A file of a product that whoever asks may see."""
        collection, item, *rest = path.split("/") if path.count("/") == _PARTS - 1 else ("", "")
        folder = None if is_hidden(collection) else self._store.find(collection, item)
        if folder is None or rest[0] not in {each.name for each in folder.iterdir() if each.is_file()}:
            raise InvalidInput(f"the asset {file.key} is at {shown(file.href)}", "there is no such file in the catalog")
        return folder / rest[0]


@contextmanager
def _opened(address: str) -> Iterator[http.client.HTTPResponse]:
    """The answer of an allowed host; redirections are not followed."""
    connection, target = connected(address, _QUIET_S)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise http.client.HTTPException(f"status {answer.status}")
        yield answer
    finally:
        connection.close()
