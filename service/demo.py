"""The whole chain on embedded data: simulate, composite, train, predict, register, and compare with the truth."""

from dataclasses import dataclass
from pathlib import Path

from cup4soil.methods.bare_soil import BANDS
from cup4soil.progress import Progress
from cup4soil.settings import Settings
from producers.composite import CompositeJob, plan_composite
from producers.composite_request import CompositeRequest
from producers.jobs import Delivery, deliver
from producers.prediction import PredictRequest, plan_prediction
from producers.simulation import (
    ATTRIBUTION,
    LICENCE,
    RECOMMENDED_THRESHOLD,
    SAMPLES_CRS,
    DemoScore,
    SimulatedLandscape,
    evaluate,
    simulate_archive,
)
from producers.sites_job import deliver_sites
from producers.training import TrainJob, TrainRequest, plan_training
from stac_catalog.store import Store

FOLDER = "demo"
_FEATURES = tuple(f"SRC_{band}" for band in BANDS)


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo made, and how close it came."""

    catalog: Path
    landscape: SimulatedLandscape
    composite: Delivery
    model: Delivery
    sites: Delivery | None
    soil_map: Delivery
    score: DemoScore

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """The products in the order they were made."""
        made = (self.composite, self.model, self.sites, self.soil_map)
        return tuple(each for each in made if each is not None)


def run_demo(root: Path, settings: Settings, progress: Progress, *, size: int = 500) -> Demo:
    """Run the chain into the store at ``root``; the simulation and its truth are kept beside the catalog.

    What an earlier run has made is found and used. ``size`` is the edge of the landscape in cells of 20 m.
    """
    store = Store.open(root, settings)
    folder = store.root / FOLDER
    landscape = simulate_archive(folder / "archive", progress=progress, size=size, threads=settings.threads)
    composite = deliver(_composite(landscape, settings), folder / "composite", store, progress)
    training = _training(landscape, settings)
    model = deliver(training, folder / "model", store, progress)
    sites = deliver_sites(training, model.folder, store, progress)
    wanted = PredictRequest(model=model.folder, covariates=(composite.folder,), period=composite.record.period)
    soil_map = deliver(plan_prediction(wanted, settings), folder / "soc", store, progress)
    score = evaluate(landscape, composite.folder, soil_map.folder)
    (folder / "score.json").write_text(score.to_json() + "\n", encoding="utf-8")
    return Demo(store.catalog_path, landscape, composite, model, sites, soil_map, score)


def _composite(landscape: SimulatedLandscape, settings: Settings) -> CompositeJob:
    request = CompositeRequest(
        source=str(landscape.catalog), threshold=RECOMMENDED_THRESHOLD, land_cover=landscape.landcover
    )
    return plan_composite(request, settings)


def _training(landscape: SimulatedLandscape, settings: Settings) -> TrainJob:
    request = TrainRequest(
        samples=landscape.samples,
        target="soc",
        property_code="soc",
        unit="%",
        id="id",
        x="x",
        y="y",
        crs=SAMPLES_CRS,
        features=_FEATURES,
        log=True,
        licence=LICENCE,
        attribution=ATTRIBUTION,
    )
    return plan_training(request, settings)
