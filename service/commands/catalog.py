"""``cup4soil catalog``: looking after the register."""

from pathlib import Path

import click

from cup4soil.errors import StoreError
from cup4soil.settings import Settings
from service.commands.options import json_option
from service.console import show
from stac_catalog.store import Store
from stac_catalog.validation import validate_catalog

_STORE = click.argument("store", type=click.Path(path_type=Path, file_okay=False))


@click.group()
def catalog() -> None:
    """Look after a store's catalog."""


@catalog.command()
@_STORE
@json_option
def build(store: Path, as_json: bool) -> None:
    """Write the index of STORE anew from the products it holds."""
    opened = Store.open(store, Settings(), create=False)
    opened.rebuild()
    show({name: f"{count} products" for name, count in opened.counts().items()}, as_json=as_json)


@catalog.command()
@_STORE
@click.option(
    "--xsd", type=click.Path(path_type=Path), help="Folder of an unpacked pycsw 2.6, for the ISO 19139 schemas."
)
@json_option
def validate(store: Path, xsd: Path | None, as_json: bool) -> None:
    """Check STORE: schemas, links, files with their checksums, ISO records."""
    opened = Store.open(store, Settings(), create=False)
    problems = validate_catalog(opened.catalog_path.parent, iso_schemas=xsd)
    for problem in problems:
        click.echo(str(problem), err=True)
    show(
        {
            "catalog": opened.catalog_path,
            "items": sum(opened.counts().values()),
            "problems": len(problems),
        },
        as_json=as_json,
    )
    if problems:
        found = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise StoreError(f"{found} in {store}", "see the lines above")
