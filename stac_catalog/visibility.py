"""Which collections the one who asks may not see, for everything that lists, searches or opens them.

Whoever wires an application sets it for each request; unless somebody does, nothing is hidden.
"""

from collections.abc import Iterable
from contextvars import ContextVar
from typing import Final

HIDDEN: Final[ContextVar[frozenset[str]]] = ContextVar("hidden_collections", default=frozenset())


def is_hidden(collection: str) -> bool:
    """True for a collection that the present request must not see."""
    return collection in HIDDEN.get()


def visible(collections: Iterable[str]) -> list[str]:
    """The collections that the present request may see, in the order given."""
    hidden = HIDDEN.get()
    return [name for name in collections if name not in hidden]
