"""What every producer offers, and how its result reaches a folder and a store."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cup4soil.errors import NotFound, StoreError
from cup4soil.products import ProductRecord, read_record
from cup4soil.progress import Progress
from cup4soil.staging import occupied, staged
from stac_catalog.store import Store


class Job(Protocol):
    """A product that is planned but not yet made: its identity is known before anything is computed."""

    @property
    def id(self) -> str:
        """Id of the product, from algorithm, parameters and sources."""
        ...

    @property
    def collection(self) -> str:
        """Collection the product belongs to."""
        ...

    def run(self, folder: Path, progress: Progress) -> ProductRecord:
        """Compute the product into ``folder`` and return its record, whose files lie there."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where the product is now. ``made`` is False when it was found and nothing was written."""

    record: ProductRecord
    folder: Path
    item: Path | None
    made: bool


def deliver(job: Job, out: Path, store: Store | None, progress: Progress) -> Delivery:
    """Bring the product of ``job`` to ``out`` and, where there is one, into ``store``.

    What is there already is not made again; what is missing on one side is taken from the other.

    Raises:
        StoreError: when ``out`` holds something else, or nothing can be written.
    """
    item = store.find(job.collection, job.id) if store else None
    here = _existing(job, out)
    made = False
    if here is None:
        with staged(out) as folder:
            if item is not None:
                _fetch(item, folder)
            else:
                job.run(folder, progress).write(folder)
                made = True
    record = read_record(out)
    if store is not None and item is None:
        item = store.register(record, out)
        made = True
    return Delivery(record, out, item, made)


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document of a product as JSON."""
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _existing(job: Job, out: Path) -> ProductRecord | None:
    if not occupied(out):
        return None
    try:
        record = read_record(out)
    except NotFound:
        raise StoreError(f"{out} is not empty", "choose a new folder") from None
    if record.id != job.id:
        raise StoreError(f"{out} holds another product, {record.id}", f"choose a new folder for {job.id}")
    for name in record.files:
        if not (out / name).is_file():
            raise StoreError(f"{out} has lost its file {name}", "remove the folder and run again")
    return record


def _fetch(item: Path, folder: Path) -> None:
    record = read_record(item)
    for name in record.files:
        shutil.copyfile(item / name, folder / name)
    record.write(folder)
