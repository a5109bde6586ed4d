"""Products of validation sites, and a server on a store of them."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI

from cup4soil.grids import Bounds
from cup4soil.products import Algorithm, Document, Extent, ProductRecord, product_id
from cup4soil.settings import Settings
from processors.feature_router import feature_router
from processors.pygeoapi_app import mount_pygeoapi
from service.problems import install
from stac_catalog.sites import SITES, SITES_FILE, SITES_INDEX_FILE, SiteIndex
from stac_catalog.store import Store
from tests.catalog.products import PERIOD
from tests.processors.coverages import worlds

MOST = 100


def site(name: str, lon: float, lat: float, *, model: str = "model-a", **changes: Any) -> dict[str, Any]:
    """A feature as a training writes it."""
    properties = {
        "property": "soc", "unit": "g/kg", "observed": 12.0, "predicted": 14.0, "q05": 9.0, "q95": 22.0, "error": 2.0,
        "inside_interval": True, "interval": "90 %, calibrated", "fold": 1, "validation": "Blocks", "di": 0.1,
        "inside_aoa": True, "model": model, "simulated": False, "sample": name, "depth": "0-20cm", "upper_cm": 0.0,
        "lower_cm": 20.0, "position": "as stated", "start_datetime": "2018-04-01T00:00:00Z",
        "end_datetime": "2018-10-31T23:59:59Z", "source": "samples.csv", "licence": "CC-BY-SA-4.0",
        "attribution": "Somebody", "source_licence": "CC-BY-4.0",
    }  # fmt: skip
    point = {"type": "Point", "coordinates": [lon, lat]}
    return {"type": "Feature", "id": f"sites-{model}.{name}", "geometry": point, "properties": properties | changes}


def scattered(count: int, *, model: str = "model-a", seed: int = 1) -> list[dict[str, Any]]:
    """Sites in central Europe, observed from 0 to 100, every third outside of the area of applicability."""
    rng = np.random.default_rng(seed)
    lons, lats = rng.uniform(5, 20, count).round(6), rng.uniform(45, 55, count).round(6)
    observed = rng.uniform(0, 100, count).round(3)
    return [
        site(f"{n:04d}", float(lons[n]), float(lats[n]), model=model, observed=float(observed[n]), fold=n % 5,
             inside_aoa=n % 3 != 0)
        for n in range(count)
    ]  # fmt: skip


def register(store: Store, folder: Path, features: list[dict[str, Any]]) -> ProductRecord:
    """Register the features as a product."""
    folder.mkdir(parents=True)
    (folder / SITES_FILE).write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    algorithm = Algorithm(
        name="held-out-validation", version="1.0", title="Held out", description="Held out.",
        parameters={"features": [each["id"] for each in features]},
    )  # fmt: skip
    record = ProductRecord(
        id=product_id("sites", algorithm, ()),
        collection=SITES,
        kind="samples",
        title="Validation sites",
        abstract="Validation sites.",
        period=PERIOD,
        extent=Extent.of_bounds(Bounds(5, 45, 20, 55)),
        algorithm=algorithm,
        sources=(),
        licence="CC-BY-SA-4.0",
        documents=(Document(name="sites", title="Sites", file=SITES_FILE, media_type="application/geo+json"),),
    )
    store.register(record, folder)
    return record


def application(store: Store, root: str) -> FastAPI:
    """Features and pygeoapi as the service wires them."""
    app = FastAPI()
    install(app)
    sites = SiteIndex(store.root / SITES_INDEX_FILE)
    app.include_router(feature_router(sites, MOST, root=root))
    mount_pygeoapi(app, store, Settings(), root=root, sites=sites, manager="Dummy")
    return app


@contextlib.contextmanager
def serving(store: Store) -> Iterator[str]:
    """A running server in a thread; gives its address."""
    with worlds.running(lambda root: application(store, root)) as root:
        yield root
