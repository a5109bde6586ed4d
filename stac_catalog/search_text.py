"""Free text in searches: terms that stand in what a product or a collection says of itself."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from cup4soil.errors import InvalidInput
from stac_catalog.search_probes import Probe, property_probe

_MOST_TERMS: Final = 20
_SEARCHED: Final = ("title", "description", "keywords", "cup4soil:property", "cup4soil:kind")


def parse_terms(value: object) -> tuple[str, ...]:
    """Terms from text with commas between, or from a list; words of one term stand side by side.

    Raises:
        InvalidInput: when it is neither, one is empty, or there are too many.
    """
    given = value.split(",") if isinstance(value, str) else value
    texts = given if isinstance(given, list) and all(isinstance(each, str) for each in given) else []
    terms = [" ".join(text.lower().split()) for text in texts]
    if not terms or not all(terms) or len(terms) > _MOST_TERMS:
        raise InvalidInput(f"q is {str(value)[:80]!r}", f"give up to {_MOST_TERMS} terms separated by commas")
    return tuple(terms)


def standing(terms: tuple[str, ...]) -> Callable[[Mapping[str, Any]], bool]:
    """Tells whether one of the terms stands at the beginning of a word among an object's descriptive members."""
    pattern = re.compile("|".join(rf"\b{re.escape(term)}" for term in terms))
    return lambda members: pattern.search(_words(members)) is not None


def probe_of(terms: tuple[str, ...]) -> Probe:
    """:func:`standing` as a test of an item's properties (JSON)."""
    stands = standing(terms)
    return property_probe(f"q {','.join(terms)}", lambda text: stands(json.loads(text)))


def _words(members: Mapping[str, Any]) -> str:
    values = [members.get(name) or "" for name in _SEARCHED]
    texts = [" ".join(map(str, each)) if isinstance(each, list) else str(each) for each in values]
    return " ".join(" ".join(texts).lower().split())
