"""Fixtures of the register's tests: products in folders, and a store that holds them."""

import socket
from dataclasses import dataclass
from pathlib import Path

import pytest

from cup4soil.products import ProductRecord
from cup4soil.settings import Settings
from stac_catalog.store import Store
from tests.catalog import products

_ISO_SCHEMAS = Path(__file__).resolve().parents[2] / ".cache" / "iso-schemas"


@dataclass(frozen=True)
class Made:
    """A product and the folder its files lie in."""

    record: ProductRecord
    folder: Path


@dataclass(frozen=True)
class Filled:
    """A store with one product of each kind. Tests that change it take a copy."""

    store: Store
    products: dict[str, Made]

    @property
    def catalog(self) -> Path:
        return self.store.catalog_path.parent


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(
        organisation="Soil Survey", contact_email="soil@survey.example", contact_url="https://survey.example"
    )


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    """One product of each kind: samples, model from them, composite, and map from model and composite."""
    base = tmp_path_factory.mktemp("products")
    samples = products.samples(base / "samples")
    composite = products.composite(base / "composite")
    model = products.model(base / "model", (products.product_source(samples, "samples"),))
    sources = (products.product_source(model, "model"), products.product_source(composite, "composite"))
    soil_map = products.soil_map(base / "soil-map", sources)
    return {each.kind: Made(each, base / each.kind) for each in (samples, model, composite, soil_map)}


@pytest.fixture(scope="session")
def filled(made: dict[str, Made], settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    store = Store.open(tmp_path_factory.mktemp("filled") / "store", settings)
    for each in made.values():
        store.register(each.record, each.folder)
    return Filled(store, made)


@pytest.fixture(scope="session")
def iso_schemas() -> Path:
    if not (_ISO_SCHEMAS / "pycsw").is_dir():
        pytest.skip("the ISO 19139 schemas are not unpacked: run make schemas")
    return _ISO_SCHEMAS


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever tries to reach the network fails."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def tree(folder: Path) -> dict[str, bytes]:
    """Content of every visible file below ``folder``."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    named = ((path.relative_to(folder), path) for path in found)
    return {str(name): path.read_bytes() for name, path in named if not any(p.startswith(".") for p in name.parts)}


def hidden(folder: Path) -> list[str]:
    """Names of hidden files and folders below ``folder``."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*"))
