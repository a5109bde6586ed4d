"""The record of a registered product by its STAC item, for when the record itself cannot be read."""

from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urljoin

from cup4soil.errors import Cup4soilError, InvalidInput
from cup4soil.products import ProductRecord, read_record
from stac_catalog.item_records import stated_record
from stac_catalog.listing import read_document


def present_record(folder: Path) -> ProductRecord:
    """The record of the product in ``folder`` of a catalog, or what its item says of the same: all but statistics.

    Raises:
        NotFound: when there is no record, and no item that could stand for it.
        StoreError: when the record is damaged, and no item could stand for it.
    """
    try:
        return read_record(folder)
    except Cup4soilError as damage:
        try:
            return _record_of_item(folder)
        except (Cup4soilError, LookupError, TypeError, AttributeError, ValueError):
            raise damage from None


def _record_of_item(folder: Path) -> ProductRecord:
    item = read_document(folder / f"{folder.name}.json")
    record, _ = stated_record(_complete(item), folder.parent.name)
    if record.id != folder.name:
        raise InvalidInput(f"the item in {folder} is {record.id}", "restore it from a copy")
    # The register names files after their keys when it takes an item in; these are called what their links say.
    files = {key: PurePosixPath(asset["href"]).name for key, asset in item["assets"].items()}
    layers = tuple(layer.model_copy(update={"file": files[layer.name]}) for layer in record.layers)
    documents = tuple(each.model_copy(update={"file": files[each.name]}) for each in record.documents)
    # of those who are credited, the register adds itself to the providers only.
    credited = tuple(each for each in item["properties"].get("attribution", "").split("; ") if each)
    return record.model_copy(update={"layers": layers, "documents": documents, "attribution": credited})


def _complete(item: dict[str, Any]) -> dict[str, Any]:
    """The item with links that lead somewhere from anywhere: those in the store are relative to it."""
    links = [link | {"href": urljoin("http://store/catalog/collection/item/", link["href"])} for link in item["links"]]
    return item | {"links": links}
