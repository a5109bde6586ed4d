"""A filter in CQL2 asked of one document, in logic of three values: for documents that no backend searches."""

from collections.abc import Callable, Mapping
from typing import Any

import cql2

from stac_catalog.search_filter import bare
from stac_catalog.search_query import Filter


def fits(tree: Filter, members: Mapping[str, Any]) -> bool:
    """True when a checked filter is true of an object with these members.

    A comparison with what the object lacks is neither true nor false, and never makes it fit.
    """
    return _truth(tree, members) is True


def _truth(tree: Filter, members: Mapping[str, Any]) -> bool | None:
    if isinstance(tree, bool):
        return tree
    operator, arguments = tree["op"].lower(), tree["args"]
    if operator == "not":
        value = _truth(arguments[0], members)
        return None if value is None else not value
    if operator in ("and", "or"):
        decisive = operator == "or"
        values = [_truth(each, members) for each in arguments]
        return decisive if decisive in values else None if None in values else not decisive
    return _holds(cql2.Expr(bare(tree)).matches, members)


def _holds(test: Callable[[dict[str, Any]], bool], members: Mapping[str, Any]) -> bool | None:
    try:
        return bool(test(dict(members)))
    except Exception:  # noqa: BLE001 - cql2 raises nothing more specific
        return None
