"""Keys of programs: what they may do, and the file that holds them. Of a key only its hash is kept."""

import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from cup4soil.errors import Cup4soilError, InvalidInput, NotFound, StoreError, writing
from stac_catalog.files import locked

KEYS_FILE = "keys.json"
_PREFIX = "c4s"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}")
_RIGHT = re.compile(r"write|execute|read:(\*|[a-z0-9][a-z0-9._-]*)")
_KEY = re.compile(rf"{_PREFIX}_([0-9a-f]{{8}})_[A-Za-z0-9_-]{{43}}")


class KeyNeeded(Cup4soilError):
    """Only somebody known may do this."""


class NotAllowed(Cup4soilError):
    """Who asks is known, and may not do this."""


class Key(BaseModel):
    """A key as it is kept: ``digest`` is the SHA-256 of its text, which has 256 random bits of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    digest: str
    rights: tuple[str, ...]
    created: datetime
    expires: datetime | None = None


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    keys: tuple[Key, ...] = ()


def check_rights(rights: Iterable[str]) -> tuple[str, ...]:
    """The rights, each once.

    Raises:
        InvalidInput: when one is not known.
    """
    found = tuple(dict.fromkeys(rights))
    for right in found:
        if not _RIGHT.fullmatch(right):
            raise InvalidInput(f"there is no right {right[:80]!r}", "use write, execute, read:COLLECTION or read:*")
    return found


class KeyRing:
    """The keys of a store. Many threads and processes may use one file."""

    def __init__(self, root: Path) -> None:
        self._path = root / KEYS_FILE
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[str, Key] = {}

    def add(self, name: str, rights: Iterable[str], expires: datetime | None = None) -> tuple[Key, str]:
        """Make a key; its text is returned here and kept nowhere.

        Raises:
            InvalidInput: when the name or a right cannot be used, or the key would be no good any more.
            StoreError: when the file cannot be written.
        """
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"a key cannot be named {name[:80]!r}", "use letters, digits, blanks and . _ @ -")
        if expires is not None and expires <= datetime.now(UTC):
            raise InvalidInput(f"a key that expires on {expires:%Y-%m-%d}", "give a day to come")
        id_ = secrets.token_hex(4)
        text = f"{_PREFIX}_{id_}_{secrets.token_urlsafe(32)}"
        created = datetime.now(UTC).replace(microsecond=0)
        key = Key(
            id=id_, name=name, digest=_digest(text), rights=check_rights(rights), created=created, expires=expires
        )
        with self._changing():
            self._write((*self.all(), key))
        return key, text

    def remove(self, id_: str) -> Key:
        """Take a key back.

        Raises:
            NotFound: when there is none of that id.
        """
        with self._changing():
            kept = self.all()
            for key in kept:
                if key.id == id_:
                    self._write(tuple(each for each in kept if each.id != id_))
                    return key
        raise NotFound(f"no key {id_[:40]!r}", "see cup4soil keys list")

    def all(self) -> tuple[Key, ...]:
        """The keys, the oldest first.

        Raises:
            StoreError: when the file is damaged: then no key is good.
        """
        self._refresh()
        return tuple(self._keys.values())

    def find(self, text: str) -> Key | None:
        """The key with this text, None when there is none or it has expired."""
        match = _KEY.fullmatch(text)
        if match is None:
            return None
        self._refresh()
        key = self._keys.get(match[1])
        # Compared also where there is none: the time taken tells nothing.
        same = hmac.compare_digest(_digest(text), key.digest if key else "0" * 64)
        if key is None or not same or (key.expires is not None and key.expires <= datetime.now(UTC)):
            return None
        return key

    def _refresh(self) -> None:
        """Read the file when it is another than before."""
        try:
            facts = self._path.stat()
        except FileNotFoundError:
            self._seen, self._keys = None, {}
            return
        signature = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
        if signature == self._seen:
            return
        try:
            read = _File.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError) as error:
            self._seen, self._keys = None, {}
            raise StoreError(f"{self._path} cannot be read", "restore it, or remove it and make new keys") from error
        self._keys = {key.id: key for key in read.keys}
        self._seen = signature

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One process at a time changes the file."""
        with writing(self._path), locked(self._path.with_suffix(".lock")):
            yield

    def _write(self, keys: tuple[Key, ...]) -> None:
        text = json.dumps(_File(keys=keys).model_dump(mode="json"), indent=1) + "\n"
        # mkstemp lets only the owner read it.
        number, name = tempfile.mkstemp(dir=self._path.parent, prefix=".keys-")
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(self._path)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
