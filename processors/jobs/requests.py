"""The body of an execute request, checked against what the process describes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from cup4soil.errors import InvalidInput
from processors.jobs.callbacks import parse_subscriber
from processors.jobs.references import References
from processors.jobs.settings import JobSettings

_MEMBERS = frozenset({"inputs", "outputs", "response", "subscriber"})
# GeoJSON needs ten; what is nested without end would exhaust whoever writes it down again.
_DEEPEST = 50
_KIB = 1024
_QUALIFIERS = frozenset({"value", "mediaType", "encoding", "schema", "format"})
type Transmission = Literal["value", "reference"]


@dataclass(frozen=True, slots=True)
class ExecuteRequest:
    """``outputs`` are those asked for with how they are to come, None for all in the way that suits them.

    ``response`` is ``document`` or ``raw`` where the client says so.
    """

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Transmission | None] | None = None
    response: Literal["document", "raw"] | None = None
    subscriber: Mapping[str, str] | None = None

    @classmethod
    def parse(cls, body: object, description: Mapping[str, Any], settings: JobSettings) -> Self:
        """Read the body of a request for the process of this description, and fetch what it refers to.

        Raises:
            InvalidInput: when it has the wrong form, or names an output that there is not.
            LimitExceeded: when what it refers to is too large.
        """
        if not isinstance(body, Mapping):
            raise InvalidInput("the request is no JSON object", 'send {"inputs": {...}}')
        _check_depth(body, 0)
        _refuse_unknown("member", set(body) - _MEMBERS, _MEMBERS)
        inputs = body.get("inputs", {})
        if not isinstance(inputs, Mapping):
            raise InvalidInput("inputs is no JSON object", 'send {"inputs": {"name": value}}')
        _refuse_unknown("input", set(inputs) - set(description["inputs"]), description["inputs"])
        response = body.get("response")
        if response not in (None, "document", "raw"):
            raise InvalidInput("response is neither document nor raw", "choose one, or leave it out")
        subscriber = parse_subscriber(body["subscriber"], settings.callback_hosts) if "subscriber" in body else None
        outputs = _outputs(body.get("outputs"), description["outputs"])
        references = References(settings.input_hosts, settings.execute_kib * _KIB)
        values = {name: _value(name, given, references) for name, given in inputs.items()}
        return cls(values, outputs, response, subscriber)

    @property
    def is_raw(self) -> bool:
        """True when the outputs are asked for as they are, not in a document; so is a single one by default."""
        if self.response is None:
            return self.outputs is not None and len(self.outputs) == 1
        return self.response == "raw"

    def to_dict(self) -> dict[str, Any]:
        """As the queue keeps it; see :meth:`of_dict`."""
        outputs = None if self.outputs is None else dict(self.outputs)
        kept = {"inputs": dict(self.inputs), "outputs": outputs, "response": self.response}
        return kept if self.subscriber is None else kept | {"subscriber": dict(self.subscriber)}

    @classmethod
    def of_dict(cls, kept: Mapping[str, Any]) -> Self:
        """What :meth:`to_dict` gave."""
        return cls(kept["inputs"], kept["outputs"], kept["response"], kept.get("subscriber"))


def _check_depth(value: object, depth: int) -> None:
    if depth > _DEEPEST:
        raise InvalidInput(f"the request is nested more than {_DEEPEST} deep", "send plain GeoJSON")
    if isinstance(value, Mapping | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            _check_depth(part, depth + 1)


def _value(name: str, given: object, references: References) -> object:
    """The value of an input, taken out of its wrapping or fetched where it has one or is elsewhere."""
    if not isinstance(given, Mapping):
        return given
    if "href" in given:
        value = references.fetch(name, given)
        _check_depth(value, 0)
        return value
    if "value" in given and not set(given) - _QUALIFIERS:
        if given.get("encoding") not in (None, "utf-8", "UTF-8"):
            raise InvalidInput(f"input {name} is encoded", "send it as JSON")
        return given["value"]
    return given


def _outputs(given: object, described: Mapping[str, Any]) -> dict[str, Transmission | None] | None:
    if given is None or given == {}:
        return None
    if not isinstance(given, Mapping):
        raise InvalidInput("outputs is no JSON object", 'send {"outputs": {"name": {}}}')
    _refuse_unknown("output", set(given) - set(described), described)
    return {name: _transmission(name, wanted, described[name]) for name, wanted in given.items()}


def _transmission(name: str, wanted: object, described: Mapping[str, Any]) -> Transmission | None:
    if wanted is None:
        return None
    if not isinstance(wanted, Mapping):
        raise InvalidInput(f"output {name} is no JSON object", "send {} for its usual form")
    media = wanted.get("format")
    kind = media.get("mediaType") if isinstance(media, Mapping) else None
    offered = described["schema"].get("contentMediaType", "application/json")
    if kind is not None and _bare(str(kind)) != _bare(offered):
        raise InvalidInput(f"output {name} does not come in the format asked for", f"it is {offered}")
    mode: Transmission | None = wanted.get("transmissionMode")
    if mode not in (None, "value", "reference"):
        raise InvalidInput(f"output {name} does not come in the transmissionMode asked for", "use value or reference")
    return mode


def _bare(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def _refuse_unknown(what: str, unknown: set[Any], known: object) -> None:
    if unknown:
        first = sorted(map(str, unknown))[0][:60]
        names = ", ".join(sorted(map(str, known))) if isinstance(known, Mapping | frozenset) else ""
        raise InvalidInput(f"unknown {what} {first!r}", f"there are {names}")
