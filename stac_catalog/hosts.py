"""Addresses that clients name, and the hosts which an operator allows for them."""

import http.client
from collections.abc import Sequence
from urllib.parse import urlsplit

LONGEST = 2000

type Origin = tuple[str, str, int]


def origin(address: str) -> Origin | None:
    """Scheme, host and port; None for what is no plain address by http or https."""
    if not address.isascii() or not address.isprintable() or " " in address:
        return None
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80)


def allowed_origins(entries: Sequence[str]) -> frozenset[Origin]:
    """Of a setting with ``host`` or ``host:port`` (by https) or ``http://host:port``."""
    named = (origin(entry if "://" in entry else f"https://{entry}") for entry in entries)
    return frozenset(each for each in named if each is not None)


def is_allowed(address: object, entries: Sequence[str]) -> bool:
    """Whether ``address`` is one, of bearable length, at a host of the setting."""
    return isinstance(address, str) and len(address) <= LONGEST and origin(address) in allowed_origins(entries)


def connected(address: str, timeout_s: float) -> tuple[http.client.HTTPConnection, str]:
    """A connection, not yet opened, to the host of a plain ``address``, and what to ask for there."""
    parts = urlsplit(address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return kind(parts.hostname or "", parts.port, timeout=timeout_s), target
