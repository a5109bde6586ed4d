"""The whole service on a small store with a product of each kind that it treats in its own way."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cup4soil.settings import Settings
from service.app import create_app
from service.settings import ServiceSettings
from stac_catalog.store import Store
from tests.catalog import products
from tests.processors import site_products
from tests.processors.coverages import worlds


def fill(base: Path) -> Path:
    """Make the store; returns its folder."""
    store = Store.open(base / "store", Settings())
    for name in ("composite", "soil_map", "model"):
        store.register(getattr(products, name)(base / name), base / name)
    site_products.register(store, base / "sites", site_products.scattered(20))
    return base / "store"


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """The service as ``cup4soil serve`` starts it, but for the worker; gives its address."""
    with worlds.running(lambda address: create_app(root, ServiceSettings(local_url=address))) as address:
        yield address
