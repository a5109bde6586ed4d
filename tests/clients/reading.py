"""Which client reads what: tests say so, and the table in docs/clients.md is held against them."""

from collections.abc import Callable

READ: dict[str, set[str]] = {}


def reads[T: Callable[..., object]](client: str, *what: str) -> Callable[[T], T]:
    """Mark a test as showing that ``client`` reads ``what``."""
    READ.setdefault(client, set()).update(what)
    return lambda test: test
