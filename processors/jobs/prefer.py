"""The header ``Prefer`` (RFC 7240)."""

import re
from collections.abc import Iterable

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PREFERENCE = re.compile(rf"\s*({_TOKEN})\s*(?:=\s*({_TOKEN}|{_QUOTED})\s*)?((?:;[^,]*)?)\s*")
# Commas inside a quoted value separate nothing.
_PARTS = re.compile(rf"(?:{_QUOTED}|[^,])+")
_LONGEST = 4096


def preferences(headers: Iterable[str]) -> dict[str, str]:
    """Preferences by name in lower case, of all headers together; of one stated twice the first counts.

    What cannot be read is no preference, as RFC 7240 has it.
    """
    found: dict[str, str] = {}
    for part in _PARTS.findall(",".join(headers)[:_LONGEST]):
        match = _PREFERENCE.fullmatch(part)
        if match:
            found.setdefault(match[1].lower(), (match[2] or "").strip('"'))
    return found


def wants_async(headers: Iterable[str]) -> bool:
    """True when the client prefers a job to an answer at once."""
    return "respond-async" in preferences(headers)
