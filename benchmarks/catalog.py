"""Catalogs of many items: ``python benchmarks/catalog.py --items 10000``.

Products of few metadata (a report of some bytes each) are registered together by ``--workers`` processes, with the time
that this one spends in making items' folders (ISO record, STAC item, checksums), waiting for the disk, and listing.
Then the catalog is made anew, mirrored, mirrored again after one change, exported and, with ``--validate``, checked;
each step with its time, that of the processor alone, and the largest memory of the process. ``--folders`` items are
made truly; the folders of the rest are copies under other names, so that 100 000 need not take an hour.
"""

import argparse
import json
import re
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cup4soil.grids import Bounds
from cup4soil.products import Algorithm, Document, Extent, Period, ProductRecord
from cup4soil.settings import Settings
from stac_catalog import store as store_module
from stac_catalog.destinations import FolderDestination
from stac_catalog.geoparquet import write_geoparquet
from stac_catalog.item_folders import ItemFolders
from stac_catalog.mirror import Mirror
from stac_catalog.mirror_documents import Form
from stac_catalog.store import Store
from stac_catalog.validation import validate_catalog


def product(number: int) -> ProductRecord:
    """A set of samples somewhere in Europe."""
    west, south, year = -10 + number % 400 / 10, 36 + number // 400 % 300 / 10, 2015 + number % 10
    return ProductRecord(
        id=f"samples-{number:07d}",
        collection="samples",
        kind="samples",
        title=f"Soil samples {number}",
        abstract="Samples.",
        property_code="soc",
        depth="0-20cm",
        period=Period(start=datetime(year, 1, 1, tzinfo=UTC), end=datetime(year, 12, 31, tzinfo=UTC)),
        extent=Extent.of_bounds(Bounds(west, south, west + 0.2, south + 0.2)),
        algorithm=Algorithm(name="samples", version="1.0.0", title="Samples", description="", parameters={"n": number}),
        sources=(),
        licence="CC-BY-SA-4.0",
        documents=(Document(name="report", title="Report", file="report.json", media_type="application/json"),),
        created=datetime(2026, 1, 1, tzinfo=UTC),
    )


class Clock:
    """Seconds that the processor worked in functions that are watched."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def watch(self, owner: Any, name: str, title: str) -> None:
        """Count the time of ``owner.name``."""
        function = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            started = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                self.spent[title] = self.spent.get(title, 0) + time.process_time() - started

        setattr(owner, name, timed)


@contextmanager
def step(title: str, count: int) -> Iterator[None]:
    started, worked = time.perf_counter(), time.process_time()
    yield
    seconds, work = time.perf_counter() - started, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    each = 1000 / max(count, 1)
    figures = f"{seconds:.1f} s ({work:.1f} s of work), {seconds * each:.2f} ms each ({work * each:.2f})"
    print(f"{title}: {figures}, {peak} MiB at most", flush=True)


def register(store: Store, source: Path, count: int) -> None:
    """Register products truly, and tell where the time went."""
    clock = Clock()
    clock.watch(ItemFolders, "fill", "item folders of this process")
    clock.watch(store_module, "sync_folders", "waiting for the disk")
    clock.watch(Store, "publish", "listing")
    with step(f"register {count}", count):
        store.register_all((product(number), source) for number in range(count))
    for title, seconds in clock.spent.items():
        print(f"  {title}: {seconds:.1f} s of work, {1000 * seconds / count:.2f} ms each")


def multiply(store: Store, first: int, count: int) -> None:
    """Give the catalog more items: copies of one under other names, times and places."""
    folder = store.catalog_path.parent / "samples"
    template = {path.name: path.read_text() for path in (folder / product(0).id).iterdir()}
    names = re.compile(product(0).id)
    for number in range(first, count):
        record = product(number)
        target = folder / record.id
        target.mkdir()
        for name, text in template.items():
            (target / names.sub(record.id, name)).write_text(names.sub(record.id, text))
        record.write(target)
        path = target / f"{record.id}.json"
        item = json.loads(path.read_text())
        item["properties"]["start_datetime"] = f"{record.period.start:%Y-%m-%dT%H:%M:%SZ}"
        item["properties"]["end_datetime"] = f"{record.period.end:%Y-%m-%dT%H:%M:%SZ}"
        path.write_text(json.dumps(item))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--folders", type=int, default=1000, help="items that are made truly")
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--workers", type=int, default=2, help="processes that register")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        source = base / "source"
        source.mkdir()
        (source / "report.json").write_text('{"rows": 250}\n')
        store = Store.open(base / "store", Settings(workers=options.workers))
        register(store, source, min(options.folders, options.items))
        multiply(store, options.folders, options.items)
        with step("take in what lies there (catalog and ledger)", options.items - options.folders):
            store = Store.open(base / "store", Settings())
        with step("open again", 1):
            store = Store.open(base / "store", Settings())
        with step("register one more", 1):
            store.register(product(options.items), source)
        with step("build anew", options.items):
            store.rebuild()
        destination = FolderDestination(base / "mirror")
        with step("mirror", options.items):
            Mirror(store, destination, Form()).run()
        store.register(product(options.items + 1), source)
        with step("mirror one change", 1):
            Mirror(store, destination, Form()).run()
        with step("export as stac-geoparquet", options.items):
            write_geoparquet(store.catalog_path.parent, None, base / "items.parquet")
        with step("remove one", 1):
            store.remove("samples", product(5).id)
        if options.validate:
            with step("validate", options.items):
                problems = validate_catalog(base / "mirror")
            of_copies = sum("differs from" in each.message or " bytes" in each.message for each in problems)
            print(f"  {len(problems)} problems, {of_copies} of them checksums of copies")
        shutil.rmtree(base / "mirror")


if __name__ == "__main__":
    main()
