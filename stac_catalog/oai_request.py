"""What a harvester asks, read as OAI-PMH 2.0 demands.

Source of the rules: Lagoze et al., The Open Archives Initiative Protocol for Metadata Harvesting, version 2.0.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal

from cup4soil.errors import InvalidInput
from stac_catalog.oai_ledger import Selection
from stac_catalog.search_values import shown

type Code = Literal[
    "badArgument", "badResumptionToken", "badVerb", "cannotDisseminateFormat", "idDoesNotExist",
    "noMetadataFormats", "noRecordsMatch", "noSetHierarchy",
]  # fmt: skip

_LIST: Final = (frozenset({"metadataPrefix"}), frozenset({"from", "until", "set"}))
# Arguments that a verb needs, and those it may have; a resumption token stands alone.
_VERBS: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    "Identify": (frozenset(), frozenset()),
    "ListMetadataFormats": (frozenset(), frozenset({"identifier"})),
    "ListSets": (frozenset(), frozenset()),
    "ListIdentifiers": _LIST,
    "ListRecords": _LIST,
    "GetRecord": (frozenset({"identifier", "metadataPrefix"}), frozenset()),
}
# As JSON Schema has them.
ARGUMENTS: Final[Mapping[str, dict[str, object]]] = {
    "verb": {"type": "string", "enum": list(_VERBS)},
    **{
        name: {"type": "string"} for name in ("identifier", "metadataPrefix", "from", "until", "set", "resumptionToken")
    },
}
_RESUMABLE: Final = ("ListSets", "ListIdentifiers", "ListRecords")
_LONGEST: Final = 2000
_SECONDS: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DAY_SECONDS: Final = 86_400
# Characters that XML 1.0 cannot hold, and lone halves of pairs.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class OaiError(InvalidInput):
    """A request that the protocol answers with an error of this ``code``."""

    def __init__(self, code: Code, problem: str, hint: str = "") -> None:
        super().__init__(_NOT_XML.sub("?", problem), hint)
        self.code = code


@dataclass(frozen=True, slots=True)
class Place:
    """How far a list has been given out: the last record's (stamp, number), and how many records that were."""

    stamp: int
    number: int
    count: int


@dataclass(frozen=True, slots=True)
class ListRequest:
    """Which records a list holds, in which format, and where this part of it begins."""

    prefix: str
    selection: Selection
    place: Place | None = None

    def token(self, place: Place) -> str:
        """What leads to the part behind ``place``."""
        chosen = self.selection
        values = [self.prefix, chosen.since, chosen.until, chosen.collection, place.stamp, place.number, place.count]
        return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


def read_arguments(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The arguments of a request, checked against its verb.

    Raises:
        OaiError: when the verb is unknown, or an argument is repeated, missing, unknown or no text for XML.
    """
    given = list(pairs)
    verbs = [value for name, value in given if name == "verb"]
    if len(verbs) != 1 or verbs[0] not in _VERBS:
        said = "is missing" if not verbs else "is repeated" if len(verbs) > 1 else f"{shown(verbs[0])} is none"
        raise OaiError("badVerb", f"the verb {said}", f"use one of {', '.join(_VERBS)}")
    arguments = dict(given)
    if len(arguments) < len(given):
        raise OaiError("badArgument", "an argument is repeated", "give each once")
    for name, value in given:
        if len(value) > _LONGEST or _NOT_XML.search(value) or not value:
            raise OaiError("badArgument", f"{shown(name)} is {shown(value)}", "give a value of usual characters")
    _check_names(verbs[0], arguments.keys() - {"verb"})
    return arguments


def _check_names(verb: str, names: set[str]) -> None:
    if "resumptionToken" in names and verb in _RESUMABLE:
        if len(names) > 1:
            raise OaiError("badArgument", "resumptionToken stands beside other arguments", "give it alone")
        return
    needed, possible = _VERBS[verb]
    if unknown := sorted(names - needed - possible):
        raise OaiError("badArgument", f"{verb} has no argument {shown(unknown[0])}", "leave it out")
    if missing := sorted(needed - names):
        raise OaiError("badArgument", f"{verb} needs the argument {missing[0]}", "add it")


def read_list(arguments: Mapping[str, str]) -> ListRequest:
    """The request of ListIdentifiers or ListRecords.

    Raises:
        OaiError: when a time is none, the two are of different granularity or order, or the token is none of ours.
    """
    if "resumptionToken" in arguments:
        return _resumed(arguments["resumptionToken"])
    since, until = arguments.get("from"), arguments.get("until")
    if since is not None and until is not None and len(since) != len(until):
        raise OaiError("badArgument", "from and until differ in granularity", "give both as days or as seconds")
    selection = Selection(
        None if since is None else _instant("from", since),
        None if until is None else _instant("until", until) + (_DAY_SECONDS - 1 if _DAY.fullmatch(until) else 0),
        arguments.get("set"),
    )
    if selection.since is not None and selection.until is not None and selection.since > selection.until:
        raise OaiError("badArgument", f"from {since} is later than until {until}", "give the earlier one first")
    return ListRequest(arguments["metadataPrefix"], selection)


def _instant(name: str, text: str) -> int:
    if _SECONDS.fullmatch(text) or _DAY.fullmatch(text):
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            return int(_in_utc(when).timestamp())
    raise OaiError("badArgument", f"{name} is {shown(text)}", "write it as 2026-01-31 or 2026-01-31T12:00:00Z")


def _in_utc(when: datetime) -> datetime:
    """The time in UTC, which a day without a zone is taken to be in."""
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


def _resumed(token: str) -> ListRequest:
    try:
        values = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        prefix, since, until, collection, *place = values
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise _no_token(token) from error
    texts = isinstance(prefix, str) and isinstance(collection, str | None)
    if not texts or _NOT_XML.search(prefix + (collection or "")):
        raise _no_token(token)
    numbers = all(_is_number(each) or each is None for each in (since, until))
    if not (numbers and len(place) == len(Place.__slots__) and all(map(_is_number, place))):
        raise _no_token(token)
    request = ListRequest(prefix, Selection(since, until, collection))
    found = replace(request, place=Place(*place))
    if found.place is None or request.token(found.place) != token:
        raise _no_token(token)
    return found


def _is_number(value: object) -> bool:
    """True for what the ledger's numbers can be."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _no_token(token: str) -> OaiError:
    return OaiError("badResumptionToken", f"resumptionToken {shown(token[:60])} is none", "begin the list again")
