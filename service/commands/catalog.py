"""``cup4soil catalog``: looking after the register."""

from pathlib import Path

import click

from cup4soil.errors import InvalidInput, StoreError
from cup4soil.settings import Settings
from service.commands.options import json_option
from service.console import ConsoleProgress, show
from service.settings import ServiceSettings
from stac_catalog.destinations import destination_of
from stac_catalog.geoparquet import write_geoparquet
from stac_catalog.mirror import Mirror
from stac_catalog.mirror_documents import Form
from stac_catalog.store import CATALOG_FOLDER, Store
from stac_catalog.validation import validate_catalog

_BASE_URL = click.option("--base-url", help="Address at which the copy will be seen: links become absolute.")
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


@catalog.command()
@_STORE
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--collection", "collections", multiple=True, help="Export this collection alone; may be repeated.")
@_BASE_URL
@json_option
def export(store: Path, out: Path, collections: tuple[str, ...], base_url: str | None, as_json: bool) -> None:
    """Write the items of STORE to OUT as stac-geoparquet, one row each."""
    opened = Store.open(store, Settings(), create=False)
    base = "./" if base_url is None else f"{base_url.rstrip('/')}/"
    count = write_geoparquet(opened.catalog_path.parent, collections or None, out, base=base)
    show({"file": out, "items": count, "bytes": out.stat().st_size}, as_json=as_json)


@catalog.command()
@_STORE
@click.argument("dest")
@click.option("--metadata-only", is_flag=True, help="Leave the files of the products where they are; see --files-url.")
@click.option("--files-url", help="Address of the catalog that has the files [default: that of the service].")
@_BASE_URL
@click.option("--geoparquet", is_flag=True, help="Add each collection's items as stac-geoparquet.")
@click.option("--closed", is_flag=True, help="Take along collections that only some may see.")
@click.option("--dry-run", is_flag=True, help="Tell what would be written, and write nothing.")
@json_option
def mirror(
    store: Path,
    dest: str,
    metadata_only: bool,
    files_url: str | None,
    base_url: str | None,
    geoparquet: bool,
    closed: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring the copy of STORE's catalog at DEST up to date: a folder, or a bucket by s3://, gs:// or az://.

    Only what has changed is written, the documents that list items last. An interrupted run is taken up by the next.
    """
    settings = ServiceSettings()
    form = Form(
        base_url=base_url,
        files_url=_files_url(files_url, settings) if metadata_only else None,
        without=() if closed else tuple(sorted(settings.closed_collections)),
        tables=geoparquet,
    )
    opened = Store.open(store, settings, create=False)
    run = Mirror(opened, destination_of(dest), form, dry=dry_run, progress=ConsoleProgress())
    show({"mirror": dest, "dry_run": dry_run or None, **run.run().figures()}, as_json=as_json)


def _files_url(given: str | None, settings: ServiceSettings) -> str:
    """Where the files are that a mirror of metadata alone does not have."""
    if given is not None:
        return given
    if settings.public_url is None:
        raise InvalidInput(
            "a mirror of metadata alone has to lead to the files", "give --files-url or CUP4SOIL_PUBLIC_URL"
        )
    return f"{settings.public_url.rstrip('/')}/{CATALOG_FOLDER}"
