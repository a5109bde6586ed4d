"""``cup4soil serve``: the service on a store."""

from pathlib import Path

import click

from cup4soil.errors import InvalidInput
from service.running import serve as run_service
from service.settings import ServiceSettings
from stac_catalog.store import Store

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command()
@click.option("--store", type=click.Path(path_type=Path, file_okay=False), help="Store to serve (or CUP4SOIL_STORE).")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port to listen on.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Web processes.")
@click.option("--no-worker", is_flag=True, help="Do not start a worker for jobs; run `cup4soil worker` elsewhere.")
def serve(store: Path | None, host: str, port: int, workers: int, no_worker: bool) -> None:
    """Serve a store: page, STAC API, OGC API Coverages and Processes."""
    settings = ServiceSettings()
    root = named_store(store, settings)
    if settings.public_url is None and host not in _LOOPBACK:
        click.echo("CUP4SOIL_PUBLIC_URL is not set: links below /ogc will name this machine's own address", err=True)
    click.echo(f"Serving {root} on http://{host}:{port} (Ctrl-C ends it)", err=True)
    run_service(root, host, port, settings, workers=workers, worker=not no_worker)


def named_store(store: Path | None, settings: ServiceSettings) -> Path:
    """The store of the option or the settings; it has to exist.

    Raises:
        InvalidInput: when none is named.
        NotFound: when there is none.
    """
    root = store or settings.store
    if root is None:
        raise InvalidInput("no store is named", "give --store or set CUP4SOIL_STORE")
    return Store.open(root, settings, create=False).root
