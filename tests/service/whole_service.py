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
    register(store, base)
    store.register(products.model(base / "model"), base / "model")
    return base / "store"


def register(store: Store, base: Path) -> None:
    """Register all of them but the model, which nothing can be predicted with."""
    for name in ("composite", "soil_map"):
        store.register(getattr(products, name)(base / name), base / name)
    site_products.register(store, base / "sites", site_products.scattered(20))


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """The service as ``cup4soil serve`` starts it, but for the worker; gives its address."""
    with worlds.running(lambda address: create_app(root, ServiceSettings(local_url=address))) as address:
        yield address
