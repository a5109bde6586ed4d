"""Which format a client gets: the parameter ``f`` first, then the Accept header, else the default."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cup4soil.errors import InvalidInput


class NotAcceptable(InvalidInput):
    """None of the media types of an Accept header is offered."""


@dataclass(frozen=True)
class Formats:
    """What a resource offers. ``names`` are values of ``f`` in small letters, ``accepted`` media types of Accept.

    ``wildcards`` says what ``*/*`` and the like stand for; ``said`` names the formats to a client.
    """

    names: Mapping[str, str]
    accepted: Mapping[str, str]
    wildcards: Mapping[str, str]
    default: str
    said: str

    def choose(self, wanted: str | None, accept: str | None) -> str:
        """The media type to answer with.

        Raises:
            InvalidInput: when the format named is not offered.
            NotAcceptable: when none of the media types is.
        """
        if wanted is not None:
            kind = self.names.get(wanted.strip().lower().split(";")[0])
            if kind is None:
                raise InvalidInput(f"f is {wanted[:80]!r}", f"use {self.said}")
            return kind
        return self._negotiated(accept) if accept else self.default

    def _negotiated(self, accept: str) -> str:
        """The first of the most wanted media types."""
        best, kind = 0.0, None
        for part in accept[:2000].split(","):
            name, whole, quality = _weighted(part)
            offered = self.accepted.get(whole) or self.accepted.get(name) or self.wildcards.get(name)
            if offered is not None and quality > best:
                best, kind = quality, offered
        if kind is None:
            raise NotAcceptable(f"no format of Accept {accept[:80]!r} is offered", f"use f={self.said}")
        return kind


_JSON = "application/json"
_DOCUMENT: Final = Formats(
    names={"json": _JSON},
    accepted={_JSON: _JSON, "application/schema+json": _JSON},
    wildcards={"*/*": _JSON, "application/*": _JSON},
    default=_JSON,
    said="json",
)


def only_json(wanted: str | None, accept: str | None) -> None:
    """Check that a client takes JSON, the one form of a document. Raises as :meth:`Formats.choose`."""
    _DOCUMENT.choose(wanted, accept)


def _weighted(part: str) -> tuple[str, str, float]:
    """A media range without and with its parameters, and its weight."""
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    weights = [each.removeprefix("q=") for each in parameters if each.startswith("q=")]
    whole = "; ".join([name, *(each for each in parameters if not each.startswith("q="))])
    try:
        return name, whole, max(0.0, min(1.0, float(weights[0]))) if weights else 1.0
    except ValueError:
        return name, whole, 0.0
