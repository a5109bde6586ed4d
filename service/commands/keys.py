"""``cup4soil keys``: who may write into a store or read its closed collections over the web."""

from datetime import UTC, datetime
from pathlib import Path

import click

from service.commands.options import json_option
from service.commands.serve import named_store
from service.console import show
from service.keys import Key, KeyRing
from service.settings import ServiceSettings

_STORE = click.option(
    "--store", type=click.Path(path_type=Path, file_okay=False), help="Store of the keys (or CUP4SOIL_STORE)."
)


@click.group()
def keys() -> None:
    """Make, list and remove the keys of programs."""


@keys.command()
@click.argument("name")
@click.option("--right", "rights", multiple=True, required=True, help="write, execute, read:COLLECTION or read:*.")
@click.option("--expires", type=click.DateTime(("%Y-%m-%d",)), help="Day from which the key is no good any more.")
@_STORE
@json_option
def add(name: str, rights: tuple[str, ...], expires: datetime | None, store: Path | None, as_json: bool) -> None:
    """Make a key called NAME and show it, this once: only its hash is kept."""
    until = None if expires is None else expires.replace(tzinfo=UTC)
    key, text = _ring(store).add(name, rights, until)
    show({"id": key.id, "name": key.name, "rights": ", ".join(key.rights), "key": text}, as_json=as_json)


@keys.command("list")
@_STORE
@json_option
def list_(store: Path | None, as_json: bool) -> None:
    """List the keys; their texts are known to nobody but their holders."""
    show({key.id: _line(key) for key in _ring(store).all()}, as_json=as_json)


@keys.command()
@click.argument("id_", metavar="ID")
@_STORE
@json_option
def remove(id_: str, store: Path | None, as_json: bool) -> None:
    """Take the key ID back; it is refused from the next request on."""
    show({"removed": _line(_ring(store).remove(id_))}, as_json=as_json)


def _ring(store: Path | None) -> KeyRing:
    return KeyRing(named_store(store, ServiceSettings()))


def _line(key: Key) -> str:
    until = f", until {key.expires:%Y-%m-%d}" if key.expires else ""
    return f"{key.name}: {', '.join(key.rights)}, made {key.created:%Y-%m-%d}{until}"
