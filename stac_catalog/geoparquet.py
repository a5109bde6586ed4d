"""Items as stac-geoparquet: one row each, in row groups, without holding more than one of these in memory."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import batched, chain
from pathlib import Path
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
from stac_geoparquet.arrow import to_parquet
from stac_geoparquet.arrow._api import stac_items_to_arrow
from stac_geoparquet.arrow._schema.models import InferredSchema

from cup4soil.errors import InvalidInput, NoData, NotFound, writing
from stac_catalog.catalogs import COLLECTION_FILE
from stac_catalog.files import PART
from stac_catalog.listing import listed_collections, listed_items, read_document
from stac_catalog.mirror_documents import Document, resolved

_GROUP: Final = 1000  # items in a row group
# Objects whose members differ from item to item, and their types: as JSON text, for a column has one type.
_FREE: Final = (
    "cup4soil:parameters",
    "cup4soil:training_data",
    "mlm:hyperparameters",
    "mlm:input",
    "mlm:output",
)


def write_geoparquet(
    catalog: Path,
    collections: Sequence[str] | None,
    target: Path,
    *,
    base: str = "./",
    within: str = "",
    lists: Path | None = None,
) -> int:
    """Write the items of some or all collections of the catalog in the folder ``catalog``; returns how many.

    Their addresses are made relative to the folder ``within`` of the catalog and put behind ``base``. They are read
    twice, first for the columns that they need. ``lists`` is a folder with the documents that say which items there
    are, where those of the catalog may change meanwhile. ``target`` is seen whole or not at all.

    Raises:
        NoData: when there are none.
        NotFound: when there is no such collection.
        StoreError: when the catalog is damaged or the file cannot be written.
    """
    listing = lists or catalog
    known = listed_collections(listing)
    chosen = known if collections is None else list(collections)
    if unknown := sorted(set(chosen) - set(known)):
        raise NotFound(f"no collection {unknown[0]!r}", f"choose among {', '.join(known)}")

    def items() -> Iterator[Document]:
        for collection in chosen:
            for name in listed_items(listing, collection):
                path = f"{collection}/{name}/{name}.json"
                yield _plain(resolved(read_document(catalog / path), path, base, within))

    schema = _schema(items())
    if schema.count == 0:
        raise NoData("there are no items to export", "register products first")
    groups = (stac_items_to_arrow(group, schema=schema.inner) for group in batched(items(), _GROUP))
    first = next(groups)
    reader = pa.RecordBatchReader.from_batches(first.schema, chain([first], groups))
    _write(reader, target, {name: _about(listing, name) for name in chosen})
    return schema.count


def _write(reader: pa.RecordBatchReader, target: Path, collections: Mapping[str, Document]) -> None:
    part = target.with_name(f".{target.name}{PART}")
    try:
        with writing(target):
            to_parquet(reader, part, collections=collections, compression="zstd")
            part.rename(target)
    finally:
        part.unlink(missing_ok=True)


def _schema(items: Iterable[Document]) -> InferredSchema:
    """The columns that hold every item."""
    schema = InferredSchema()
    for group in batched(items, _GROUP):
        try:
            schema.update_from_items(group)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            names = f"{group[0]['id']} to {group[-1]['id']}"
            raise InvalidInput(f"items {names} contradict others: {error}", "export collections one by one") from error
    if schema.count:
        schema.manual_updates()
    return schema


def _plain(item: Document) -> Document:
    """The item in the form of a row: free objects as text, and no empty objects, which a column cannot hold."""
    free = {name: json.dumps(item["properties"][name]) for name in _FREE if name in item["properties"]}
    plain: Document = _filled({**item, "properties": {**item["properties"], **free}})
    return plain | {"properties": plain.get("properties", {}), "assets": plain.get("assets", {})}


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        members = ((name, _filled(member)) for name, member in value.items())
        return {name: member for name, member in members if member != {}}
    return [_filled(member) for member in value] if isinstance(value, list) else value


def _about(catalog: Path, collection: str) -> Document:
    """What a table says of a collection: its document without the links to its items and pages."""
    document = read_document(catalog / collection / COLLECTION_FILE)
    links = [link for link in document["links"] if link["rel"] not in ("item", "child", "root", "parent")]
    return document | {"links": links}
