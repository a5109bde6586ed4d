"""``cup4soil metadata``: what a product says of itself, in the forms that others read."""

from pathlib import Path

import click

from cup4soil.errors import InvalidInput, NotFound
from service.search import search_backend
from service.settings import ServiceSettings
from stac_catalog.metadata import FORMS, Described
from stac_catalog.metadata import metadata as written
from stac_catalog.places import Places
from stac_catalog.store import Store
from stac_catalog.versions import find_versions


@click.command()
@click.argument("item", metavar="ITEM")
@click.option("--format", "form", type=click.Choice(list(FORMS)), default="citation", show_default=True, help="Form.")
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    help="Store that holds the product (or CUP4SOIL_STORE).",
)
@click.option(
    "--url",
    default="http://127.0.0.1:8000/",
    show_default=True,
    help="Address of the service, with which those in the metadata begin.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write; else standard output.")
def metadata(item: str, form: str, store: Path | None, url: str, out: Path | None) -> None:
    """Write the metadata of ITEM, given as COLLECTION/ID or as ID where one collection has it."""
    if not url.startswith(("http://", "https://")):
        raise InvalidInput(f"--url is {url!r}", "give an address that begins with https:// or http://")
    settings = ServiceSettings()
    root = store or settings.store
    if root is None:
        raise NotFound("no store is named", "give --store, or set CUP4SOIL_STORE")
    opened = Store.open(root, settings, create=False)
    collection, name = _find(opened, item)
    record = opened.record(collection, name)
    backend = search_backend(opened.root, settings)
    try:
        found = find_versions(backend, record)
    finally:
        backend.close()
    content = written(form, Described(record, settings, Places(f"{url.rstrip('/')}/"), found))
    if out is None:
        click.echo(content, nl=False)
    else:
        out.write_bytes(content)


def _find(store: Store, item: str) -> tuple[str, str]:
    """Collection and id of the one product that ``item`` names."""
    collection, slash, name = item.rpartition("/")
    if slash:
        return collection, name
    found = [each for each in store.collections() if store.find(each, name)]
    if len(found) > 1:
        raise InvalidInput(
            f"{item} is in several collections", f"give one of {', '.join(f'{c}/{name}' for c in found)}"
        )
    if not found:
        raise NotFound(f"no product {item} in {store.root}", "see its catalog for what there is")
    return found[0], name
