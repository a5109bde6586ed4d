"""The job that brings the validation sites of a model to a store, whether or not the model was trained just now."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cup4soil.products import ProductRecord, read_record
from cup4soil.progress import Progress
from producers.jobs import Delivery, deliver
from producers.training import TrainJob
from producers.validation_sites import COLLECTION
from stac_catalog.store import Store


@dataclass(frozen=True)
class SitesJob:
    """The sites of a training whose terms let them be open."""

    training: TrainJob
    id: str

    collection = COLLECTION

    def run(self, folder: Path, progress: Progress) -> ProductRecord:
        """Train once more: what is kept of a model does not tell what was held out."""
        with TemporaryDirectory() as scratch:
            made = Path(scratch) / "model"
            made.mkdir()
            self.training.run(made, progress)
            shutil.copytree(made / self.id, folder, dirs_exist_ok=True)
        return read_record(folder)


def deliver_sites(training: TrainJob, model: Path, store: Store | None, progress: Progress) -> Delivery | None:
    """Register the sites of the model in ``model``, the folder of its training; None without a store or open sites.

    Raises:
        StoreError: as :func:`producers.jobs.deliver`.
    """
    if store is None or training.sites is None:
        return None
    return deliver(SitesJob(training, training.sites.id), model / training.sites.id, store, progress)
