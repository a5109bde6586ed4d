"""A damaged or missing file spoils its own answers only, which say which product it is; mended, all is as before."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio

from cup4soil.settings import Settings
from stac_catalog.store import Store
from tests.processors.coverages import worlds
from tests.service.asking import Client, client_of

# Two maps side by side in one collection, and one of another.
_LEFT, _TOP, _CELLS = 4_500_000, 3_300_000, 700
_COLLECTION, _OTHER = "soc-0-20cm", "clay-0-20cm"


class World:
    """The service on a store of three maps; ``first`` is the folder of the map that is damaged."""

    def __init__(self, base: Path) -> None:
        store = Store.open(base / "store", Settings())
        grids = [worlds.european(_LEFT + step * _CELLS * 20, _TOP, _CELLS, _CELLS) for step in range(2)]
        folders = []
        for step, (grid, collection) in enumerate(
            [(grids[0], _COLLECTION), (grids[1], _COLLECTION), (grids[0], _OTHER)]
        ):
            noise = np.random.default_rng(step).integers(0, 500, (_CELLS, _CELLS)).astype(np.int16)
            record = worlds.product(
                base / f"{step}", grid, noise, collection=collection, created=datetime(2026, 1, 1 + step, tzinfo=UTC)
            )
            folders.append(worlds.register(store, record, base / f"{step}"))
        self.root = store.root
        self.first, self.second, self.other = folders
        self.client: Client = client_of(store.root)

    @property
    def name(self) -> str:
        return f"{_COLLECTION}/{self.first.name}"

    def box(self, collection: str, step: int, cells: int = 500) -> str:
        """Of a map: all but its edges, in the axis order of EPSG:3035."""
        left, top = _LEFT + step * _CELLS * 20 + 2000, _TOP - 2000
        return f"bbox={top - cells * 20},{left},{top},{left + cells * 20}&bbox-crs=EPSG:3035"

    def on_rasters(self, collection: str, step: int, field: str) -> list[str]:
        """Requests that read a field of one map."""
        base = f"/ogc/collections/{collection}"
        box = self.box(collection, step)
        east, north = _LEFT + step * _CELLS * 20 + 8000, _TOP - 8000
        place = f"crs=EPSG:3035&parameter-name={field}"
        ring = f"{north}%20{east},{north + 900}%20{east},{north}%20{east + 900},{north}%20{east}"
        return [
            *(f"{base}/coverage?{box}&properties={field}&f={kind}" for kind in ("GTiff", "COG", "NetCDF", "json")),
            f"{base}/coverage?{box}&properties={field}&scale-factor=7",
            f"{base}/coverage?{box}&properties={field}&crs=EPSG:4326",
            f"{base}/position?coords=POINT({north}%20{east})&{place}",
            f"{base}/area?coords=POLYGON(({ring}))&{place}",
            f"{base}/styles/{field}/map?{box}&width=300&range=0,40",
        ]

    def on_records(self, folder: Path) -> list[str]:
        """Requests for what is said of a product."""
        page = f"/products/{folder.parent.name}/{folder.name}"
        return [page, f"{page}/linkset", *(f"{page}/{form}" for form in ("iso", "dcat", "schema.org", "datacite"))]

    def lists(self) -> list[str]:
        """What all products share."""
        return [
            "/health", "/stac/collections", "/stac/search?limit=10", f"/stac/collections/{_COLLECTION}/items",
            "/ogc/collections?f=json", "/ogc/collections/products/items", f"/dcat/{_COLLECTION}", "/sitemap.xml",
            "/oai?verb=ListRecords&metadataPrefix=oai_dc", "/oai?verb=ListRecords&metadataPrefix=iso19139",
            "/catalog/catalog.json",
        ]  # fmt: skip

    def sound(self) -> list[str]:
        """Requests that have nothing to do with the first map's mean."""
        return [
            *self.on_rasters(_OTHER, 0, "mean"), *self.on_rasters(_COLLECTION, 1, "mean"),
            *self.on_rasters(_COLLECTION, 0, "q95")[:2], *self.on_records(self.other), *self.on_records(self.second),
            *self.lists(), f"/catalog/{_OTHER}/{self.other.name}/mean.tif",
        ]  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("damaged"))


def _flip(path: Path, *places: int) -> None:
    content = bytearray(path.read_bytes())
    for place in places:
        content[place] ^= 0x10
    path.write_bytes(content)


def _cells(path: Path) -> None:
    """The beginning of each tile of full resolution and of its overviews.

    Of bytes that are wrong within a tile GDAL finds only those after which it cannot be unpacked: it does not look at
    the sums of tiles. Those of whole files are compared by ``cup4soil catalog validate``.
    """
    with rasterio.open(path) as dataset:
        places = []
        for level in (None, *range(len(dataset.overviews(1)))):
            more = {} if level is None else {"ovr": level}
            row = 0
            while offset := dataset.get_tag_item(f"BLOCK_OFFSET_{row}_{row}", "TIFF", bidx=1, **more):
                places.append(int(offset))
                row += 1
    content = bytearray(path.read_bytes())
    for place in places:
        content[place : place + 2] = b"\xff\xff"
    path.write_bytes(content)


def _other_grid(path: Path) -> None:
    """A sound raster of another place."""
    shift = worlds.european(_LEFT + 40_000, _TOP, _CELLS, _CELLS)
    with rasterio.open(path) as dataset:
        profile, values = dataset.profile, dataset.read()
    path.unlink()
    with rasterio.open(path, "w", **(profile | {"transform": shift.affine})) as dataset:
        dataset.write(values)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], None]] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:3000]),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "head": lambda path: _flip(path, *range(4, 400, 9)),
    "cells": _cells,
    "other": lambda path: path.write_bytes(b"II*\x00 no raster at all"),
    "elsewhere": _other_grid,
    "folder": _folder,
    "link": lambda path: (path.unlink(), path.symlink_to("nowhere.tif")),
}


def _mend(path: Path, content: bytes) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_damaged_raster_spoils_its_own_answers(world: World, damage: str) -> None:
    path, own = world.first / "mean.tif", world.on_rasters(_COLLECTION, 0, "mean")
    # At half of a file its overviews and first tiles are whole: what needs no more is answered, and rightly.
    partly = damage == "half"
    content = path.read_bytes()
    before = {each: world.client.get(each) for each in own}
    assert {answer.status_code for answer in before.values()} == {200}
    try:
        DAMAGES[damage](path)
        answers = {each: world.client.get(each) for each in own}
        for each, answer in answers.items():
            if partly and answer.status_code == 200:
                assert answer.content == before[each].content, each
                continue
            assert answer.status_code == 503, (each, answer.status_code)
            assert answer.headers["content-type"] == "application/problem+json"
            assert world.name in answer.json()["detail"]
            assert str(world.root) not in answer.text
        assert any(answer.status_code == 503 for answer in answers.values())
        for each in world.sound() if damage in ("gone", "cells") else world.lists()[:3]:
            assert world.client.get(each).status_code == 200, each
    finally:
        _mend(path, content)
    for each, answer in before.items():
        if "NetCDF" not in each:  # which tells when it was made
            assert world.client.get(each).content == answer.content, each


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "folder", "link", "bytes"])
def test_a_damaged_record_spoils_its_own_answers(world: World, damage: str) -> None:
    path, own = world.first / "product.json", world.on_records(world.first)
    content = path.read_bytes()
    assert {world.client.get(each).status_code for each in own} == {200}
    try:
        if damage == "bytes":
            path.write_bytes(b'{"id": 3, "title": "\xff"}')
        else:
            DAMAGES[damage](path)
        for each in own:
            answer = world.client.get(each)
            assert answer.status_code in (404, 503), each
            assert world.first.name in answer.json()["detail"]
            assert str(world.root) not in answer.text
        for each in world.sound():
            answer = world.client.get(each)
            assert answer.status_code == 200, each
            assert str(world.root) not in answer.text
    finally:
        _mend(path, content)
    assert {world.client.get(each).status_code for each in own} == {200}


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_of_a_damaged_record_the_item_tells_a_new_process_where_its_rasters_are(world: World, damage: str) -> None:
    path = world.first / "product.json"
    content = path.read_bytes()
    rasters = [each for each in world.on_rasters(_COLLECTION, 0, "mean") if "NetCDF" not in each]
    before = {each: world.client.get(each).content for each in rasters}
    try:
        DAMAGES[damage](path)
        client = client_of(world.root)
        for each, expected in before.items():
            assert client.get(each).content == expected, each
        for each in [*world.on_rasters(_OTHER, 0, "mean"), *world.on_records(world.other), *world.lists()]:
            assert client.get(each).status_code == 200, each
    finally:
        _mend(path, content)


def test_what_neither_record_nor_item_tells_spoils_its_own_collection_of_a_new_process(world: World) -> None:
    path, item = world.first / "product.json", world.first / f"{world.first.name}.json"
    content, document = path.read_bytes(), item.read_bytes()
    try:
        path.write_bytes(content[:100])
        item.write_bytes(document.replace(b'"cup4soil:kind"', b'"cup4soil:kin"'))
        client = client_of(world.root)
        answer = client.get(world.on_rasters(_COLLECTION, 0, "mean")[0])
        assert answer.status_code == 503
        assert world.name in answer.json()["detail"]
        for each in [*world.on_rasters(_OTHER, 0, "mean"), *world.on_records(world.other)]:
            assert client.get(each).status_code == 200, each
    finally:
        _mend(path, content)
        _mend(item, document)
    assert client.get(world.on_rasters(_COLLECTION, 0, "mean")[0]).status_code == 200


@pytest.mark.parametrize("name", ["metadata.xml", "thumbnail.png", "{id}.json", "mean.tif"])
def test_files_that_are_gone_are_not_there_and_nothing_else_is_missing(world: World, name: str) -> None:
    path = world.first / name.format(id=world.first.name)
    content, address = path.read_bytes(), f"/catalog/{_COLLECTION}/{world.first.name}/{path.name}"
    assert world.client.get(address).content == content
    try:
        path.unlink()
        answer = world.client.get(address)
        assert answer.status_code == 404
        assert str(world.root) not in answer.text
        # An item without its document is not whole; what is said of others is.
        others = world.on_records(world.first if path.suffix != ".json" else world.second)
        for each in [*others, *world.lists()]:
            assert world.client.get(each).status_code == 200, each
        assert world.client.get(f"/stac/collections/{_COLLECTION}/items/{world.first.name}").status_code == 200
    finally:
        path.write_bytes(content)
    assert world.client.get(address).content == content


def test_a_file_that_is_replaced_while_it_is_open_is_read_anew(world: World, tmp_path: Path) -> None:
    path, own = world.second / "mean.tif", world.on_rasters(_COLLECTION, 1, "mean")[0]
    before = world.client.get(own).content
    kept = tmp_path / "kept.tif"
    shutil.copy2(path, kept)
    with rasterio.open(path) as dataset:
        profile, values = dataset.profile, dataset.read()
    new = path.with_name(".new.tif")
    with rasterio.open(new, "w", **profile) as dataset:
        dataset.write(values + 1)
    new.rename(path)
    np.testing.assert_array_equal(_values(world.client.get(own).content), _values(before) + 1)
    shutil.copy2(kept, path)
    assert world.client.get(own).content == before


def _values(content: bytes) -> np.ndarray:
    with rasterio.MemoryFile(content) as memory, memory.open() as dataset:
        return dataset.read()
