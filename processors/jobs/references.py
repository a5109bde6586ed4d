"""Inputs that a client names by address instead of sending them, from hosts that the operator allows."""

import http.client
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from cup4soil.errors import InvalidInput, LimitExceeded
from stac_catalog.hosts import connected, is_allowed

_TIMEOUT_S = 10.0
_CHUNK = 65_536
_ACCEPT = "application/json, application/geo+json"


@dataclass(frozen=True, slots=True)
class References:
    """Fetches JSON of at most ``most_bytes`` from the hosts of the setting ``allowed``."""

    allowed: Sequence[str]
    most_bytes: int

    def fetch(self, name: str, link: Mapping[str, Any]) -> Any:
        """The value that ``link`` (``href``) of the input ``name`` leads to; redirections are not followed.

        Raises:
            InvalidInput: when nothing may be fetched from there, or what is there is no JSON.
            LimitExceeded: when it is too large.
        """
        if not self.allowed:
            raise InvalidInput(f"input {name} is a reference", "send the value itself: nothing is fetched")
        address = link["href"]
        if not is_allowed(address, self.allowed):
            raise InvalidInput(
                f"input {name} is not at a host that inputs may come from", "send the value itself, or ask the operator"
            )
        try:
            content = self._read(address)
        except (OSError, http.client.HTTPException) as error:
            raise InvalidInput(
                f"input {name} cannot be fetched: {type(error).__name__}", "send the value itself"
            ) from error
        if content is None:
            raise LimitExceeded(f"input {name} has more than the limit of {self.most_bytes} bytes", "simplify the area")
        return parsed(content, f"input {name}", "give the address of a JSON document")

    def _read(self, address: str) -> bytes | None:
        """The content; None when it is too large. A host that sends drop by drop is given up after a time."""
        end = time.monotonic() + _TIMEOUT_S
        connection, target = connected(address, _TIMEOUT_S)
        try:
            connection.request("GET", target, headers={"Accept": _ACCEPT})
            answer = connection.getresponse()
            if answer.status != 200:
                raise http.client.HTTPException
            parts, size = [], 0
            while part := answer.read1(_CHUNK):
                size += len(part)
                if size > self.most_bytes:
                    return None
                if time.monotonic() > end:
                    raise TimeoutError
                parts.append(part)
            return b"".join(parts)
        finally:
            connection.close()


def parsed(content: bytes, what: str, hint: str) -> Any:
    """A JSON document; numbers that JSON does not know (NaN) are refused.

    Raises:
        InvalidInput: when ``what`` is none.
    """
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} is no JSON", hint) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
