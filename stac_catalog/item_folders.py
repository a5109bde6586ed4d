"""What lies in an item's folder: the product's own files, its record, and what the register adds."""

import math
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from cup4soil.errors import Cup4soilError, InvalidInput, NotFound, writing
from cup4soil.products import RECORD_FILE, ProductRecord, Source
from cup4soil.settings import Settings
from stac_catalog.assets import METADATA_FILE, THUMBNAIL_FILE
from stac_catalog.iso import iso_record
from stac_catalog.lineage import LINEAGE_FILE, is_remote, lineage_document, local_path, published
from stac_catalog.listing import is_name
from stac_catalog.stac import item_json, product_item
from stac_catalog.thumbnail import thumbnail

_PRODUCTS = ("model", "samples", "composite", "covariate", "index", "threshold")
_OWN_KEYS = {"metadata", "thumbnail"}


class Job(NamedTuple):
    """A product, whose files lie in ``folder``, that is to fill ``part``, from which it can be moved to its place.

    ``others`` are products that will be in the store with it: collection by id.
    """

    record: ProductRecord
    folder: Path
    part: Path
    others: Mapping[str, str]


class ItemFolders:
    """Makes folders of items of the store in ``root``."""

    def __init__(self, root: Path, catalog: Path, settings: Settings) -> None:
        self._root = root
        self._catalog = catalog
        self._settings = settings

    def outcome(self, job: Job) -> Cup4soilError | None:
        """Do a job; returns the error when it cannot be done."""
        try:
            self.fill(job)
        except Cup4soilError as error:
            return error
        return None

    def fill(self, job: Job) -> None:
        """Write everything of an item into its new folder; after an error there is none.

        Raises:
            InvalidInput: when the record cannot be published.
            NotFound: when a file of the record is missing.
            StoreError: when the folder cannot be written.
        """
        try:
            with writing(self._root):
                self._fill(job.record, job.folder, job.part, job.others)
        except BaseException:
            shutil.rmtree(job.part, ignore_errors=True)
            raise

    def _fill(self, record: ProductRecord, folder: Path, part: Path, others: Mapping[str, str]) -> None:
        _check_record(record)
        _check_files(record, folder)
        part.mkdir(parents=True)
        for name in record.files:
            self._bring(folder / name, part / name)
        shown = self._published(record, others)
        shown.write(part)
        if not _has_lineage(record):
            (part / LINEAGE_FILE).write_bytes(lineage_document(record))
        picture = thumbnail(record, folder)
        if picture is not None:
            (part / THUMBNAIL_FILE).write_bytes(picture)
        (part / METADATA_FILE).write_bytes(iso_record(shown, self._settings))
        item = product_item(shown, part, self._settings, lambda source: source.href)
        (part / f"{record.id}.json").write_bytes(item_json(item))

    def _bring(self, source: Path, target: Path) -> None:
        """Give an item a file; one of the store, which nobody ever changes, is shared."""
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True)
        if source.absolute().is_relative_to(self._catalog):
            with suppress(OSError):  # not every file system can
                os.link(source.resolve(), target)
                return
        shutil.copyfile(source, target)

    def _published(self, record: ProductRecord, others: Mapping[str, str]) -> ProductRecord:
        """The record with addresses anyone may see: of the web, or relative within the store."""
        sources = tuple(published(source, self._href(source, others)) for source in record.sources)
        return record.model_copy(update={"sources": sources})

    def _href(self, source: Source, others: Mapping[str, str]) -> str | None:
        if source.href is not None and is_remote(source.href):
            return source.href
        return self._own_product(source, others) or (self._own_file(source.href) if source.href else None)

    def _own_file(self, href: str) -> str | None:
        """Address of a file inside the store, relative to any item's folder; None for one outside."""
        path = local_path(href).absolute().resolve()
        if not path.is_relative_to(self._root.resolve()) or not path.is_file():
            return None
        item = self._catalog.resolve() / "collection" / "item"
        return PurePosixPath(path.relative_to(item, walk_up=True)).as_posix()

    def _own_product(self, source: Source, others: Mapping[str, str]) -> str | None:
        """Address of the item of the store that the source is; None when it is none."""
        name = product_named(source)
        if name is None:
            return None
        found = sorted(each.name for each in self._catalog.iterdir() if _is_item(each / name))
        collection = found[0] if found else others.get(name)
        return None if collection is None else f"../../{collection}/{name}/{name}.json"


def product_named(source: Source) -> str | None:
    """Id of the product that a source would be in a store; None when it cannot be one."""
    return PurePosixPath(source.id).name if source.role in _PRODUCTS else None


def _is_item(folder: Path) -> bool:
    return (folder / f"{folder.name}.json").is_file()


def _check_record(record: ProductRecord) -> None:
    """Refuse a record whose names collide or whose figures cannot be written."""
    if not (is_name(record.collection) and is_name(record.id)):
        raise InvalidInput(f"product {record.collection}/{record.id} is named like a file", "choose another name")
    keys = [layer.name for layer in record.layers] + [document.name for document in record.documents]
    if taken := _OWN_KEYS & set(keys):
        raise InvalidInput(f"product {record.id} uses the name {taken.pop()!r}", "the register uses it: choose another")
    for values in (keys, record.files):
        if len(set(values)) < len(values):
            raise InvalidInput(f"product {record.id} names a layer or a file twice", "give each its own name")
    for measure in record.quality:
        if not math.isfinite(measure.value):
            raise InvalidInput(f"measure {measure.name!r} of {record.id} is {measure.value}", "leave it out")


def _check_files(record: ProductRecord, folder: Path) -> None:
    """Refuse a record whose files are missing, lie elsewhere, or take a name of the register's own."""
    reserved = {RECORD_FILE, METADATA_FILE, THUMBNAIL_FILE, f"{record.id}.json"}
    for name in map(PurePosixPath, record.files):
        if name.is_absolute() or ".." in name.parts or str(name) in reserved or name.name.startswith("."):
            raise InvalidInput(
                f"product {record.id} has a file {str(name)!r}", "name files within the product's folder"
            )
        if not (folder / name).is_file():
            raise NotFound(
                f"product {record.id} has no file {name} in {folder}", "give the folder that holds its files"
            )


def _has_lineage(record: ProductRecord) -> bool:
    return LINEAGE_FILE in record.files or any(document.name == "lineage" for document in record.documents)
