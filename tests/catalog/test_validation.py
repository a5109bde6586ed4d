"""Checking a catalog: a sound one has no problem, and each fault is found and named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from cup4soil.errors import NotFound
from stac_catalog.assets import FileFacts
from stac_catalog.validation import Problem, validate_catalog
from tests.catalog import products
from tests.catalog.conftest import Filled

type Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def catalog(filled: Filled, tmp_path: Path) -> Path:
    """A catalog of one's own."""
    shutil.copytree(filled.catalog, tmp_path / "catalog")
    return tmp_path / "catalog"


def item_path(catalog: Path, collection: str) -> Path:
    (folder,) = (path for path in (catalog / collection).iterdir() if path.is_dir())
    return folder / f"{folder.name}.json"


def change(path: Path, edit: Change) -> None:
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def messages(problems: list[Problem]) -> str:
    return "\n".join(map(str, problems))


def put(catalog: Path, collection: str, key: str, content: bytes) -> Path:
    """Replace an asset's file and own up to it in the item."""
    path = item_path(catalog, collection)
    asset = json.loads(path.read_text())["assets"][key]
    file = path.parent / asset["href"]
    file.write_bytes(content)
    facts = FileFacts.of(file)

    def edit(item: dict[str, Any]) -> None:
        item["assets"][key] |= {"file:size": facts.size, "file:checksum": facts.checksum}

    change(path, edit)
    return file


def test_sound_catalog_has_no_problem_and_needs_no_network(filled: Filled, iso_schemas: Path, no_network: None) -> None:
    assert validate_catalog(filled.catalog, iso_schemas) == []


def test_checking_changes_nothing(catalog: Path) -> None:
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in catalog.rglob("*")}
    validate_catalog(catalog)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in catalog.rglob("*")} == before


def test_no_catalog(tmp_path: Path, iso_schemas: Path, filled: Filled) -> None:
    with pytest.raises(NotFound, match="no catalog in"):
        validate_catalog(tmp_path)
    with pytest.raises(NotFound, match="no schema"):
        validate_catalog(filled.catalog, tmp_path)


def _drop_geometry(item: dict[str, Any]) -> None:
    del item["geometry"]


def _bad_scale(item: dict[str, Any]) -> None:
    item["assets"]["mean"]["bands"][0]["raster:scale"] = "0.1"


def _bad_shape(item: dict[str, Any]) -> None:
    item["properties"]["proj:shape"] = "40x40"


def _unknown_extension(item: dict[str, Any]) -> None:
    item["stac_extensions"].append("https://nowhere.example/schema.json")


def _lost_link(item: dict[str, Any]) -> None:
    item["links"].append({"rel": "derived_from", "href": "../../models/gone/gone.json"})


def _wrong_size(item: dict[str, Any]) -> None:
    item["assets"]["mean"]["file:size"] += 1


def _wrong_checksum(item: dict[str, Any]) -> None:
    item["assets"]["mean"]["file:checksum"] = "1220" + "0" * 64


def _lost_asset(item: dict[str, Any]) -> None:
    item["assets"]["mean"]["href"] = "./gone.tif"


def _asset_elsewhere(item: dict[str, Any]) -> None:
    item["assets"]["mean"]["href"] = "../../../../../etc/hostname"


def _other_scale(item: dict[str, Any]) -> None:
    item["assets"]["mean"]["bands"][0]["raster:scale"] = 1.0


def _other_offset(item: dict[str, Any]) -> None:
    item["assets"]["mean"]["bands"][0]["raster:offset"] = 5.0


def _other_nodata(item: dict[str, Any]) -> None:
    item["assets"]["mean"]["bands"][0]["nodata"] = -9999


def _other_type(item: dict[str, Any]) -> None:
    item["assets"]["mean"]["bands"][0]["data_type"] = "uint8"


def _other_name(item: dict[str, Any]) -> None:
    item["assets"]["mean"]["bands"][0]["name"] = "median"


def _another_band(item: dict[str, Any]) -> None:
    item["assets"]["mean"]["bands"].append({"name": "more"})


def _other_crs(item: dict[str, Any]) -> None:
    item["properties"]["proj:code"] = "EPSG:32633"


def _no_crs(item: dict[str, Any]) -> None:
    item["properties"]["proj:code"] = "EPSG:nonsense"


def _other_shape(item: dict[str, Any]) -> None:
    item["properties"]["proj:shape"] = [40, 41]


def _other_transform(item: dict[str, Any]) -> None:
    item["properties"]["proj:transform"][2] += 20


def _grid_of_the_asset(item: dict[str, Any]) -> None:
    item["assets"]["mean"]["proj:shape"] = [10, 10]


def _no_stac(item: dict[str, Any]) -> None:
    item["type"] = "Picture"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_drop_geometry, "'geometry' is a required property"),
        (_bad_scale, "raster/v2.0.0"),
        (_bad_shape, "projection/v2.0.0"),
        (_unknown_extension, "schema https://nowhere.example/schema.json is not at hand"),
        (_lost_link, "link derived_from leads to no file: ../../models/gone/gone.json"),
        (_wrong_size, "asset mean has"),
        (_wrong_checksum, "asset mean differs from its checksum"),
        (_lost_asset, "asset mean has no file: ./gone.tif"),
        (_asset_elsewhere, "asset mean has no file"),
        (_other_scale, "asset mean band 1 has raster:scale 0.1, the item states 1.0"),
        (_other_offset, "asset mean band 1 has raster:offset 0.0, the item states 5.0"),
        (_other_nodata, "asset mean band 1 has nodata -32768.0, the item states -9999"),
        (_other_type, "asset mean band 1 has data_type int16, the item states uint8"),
        (_other_name, "asset mean band 1 has name mean, the item states median"),
        (_another_band, "asset mean has 1 bands, the item states 2"),
        (_other_crs, "asset mean has another CRS than EPSG:32633, which the item states"),
        (_no_crs, "asset mean has another CRS than EPSG:nonsense"),
        (_other_shape, "asset mean has shape [40, 40], the item states [40, 41]"),
        (_other_transform, "asset mean has transform [20.0"),
        (_grid_of_the_asset, "asset mean has shape [40, 40], the item states [10, 10]"),
        (_no_stac, "type 'Picture' is no STAC document"),
    ],
)
def test_faults_of_an_item(catalog: Path, edit: Change, message: str) -> None:
    path = item_path(catalog, "soc-0-20cm")
    change(path, edit)
    problems = validate_catalog(catalog)
    assert message in messages(problems)
    assert path.relative_to(catalog).as_posix() in {problem.path for problem in problems}


def test_changed_byte_is_found(catalog: Path) -> None:
    path = item_path(catalog, "models").parent / "model.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "asset model differs from its checksum" in messages(validate_catalog(catalog))


def test_broken_json_is_found(catalog: Path) -> None:
    item_path(catalog, "models").write_text("{")
    text = messages(validate_catalog(catalog))
    assert "cannot be read as JSON" in text


def test_lost_collection_is_found(catalog: Path) -> None:
    (catalog / "models" / "collection.json").unlink()
    text = messages(validate_catalog(catalog))
    assert "link child leads to no file: ./models/collection.json" in text
    assert "is not listed in its collection" in text


def test_child_on_the_web_is_not_followed(catalog: Path, no_network: None) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["links"].append({"rel": "child", "href": "https://nowhere.example/collection.json"})

    change(catalog / "catalog.json", edit)
    text = messages(validate_catalog(catalog))
    assert "link child leads out of the catalog" in text


def test_raster_without_overviews_is_found(catalog: Path) -> None:
    path = catalog.parent / "plain.tif"
    profile = {"driver": "GTiff", "height": 600, "width": 600, "count": 1, "dtype": "int16", "crs": "EPSG:3035"}
    with rasterio.open(path, "w", transform=products.grid(size=600).affine, **profile) as dataset:
        dataset.write(np.zeros((1, 600, 600), np.int16))
    put(catalog, "soc-0-20cm", "mean", path.read_bytes())
    assert "mean.tif: has no tiles or no overviews" in messages(validate_catalog(catalog))


def test_raster_that_is_none_is_found(catalog: Path) -> None:
    put(catalog, "soc-0-20cm", "mean", b"no raster")
    assert "cannot be opened as a raster" in messages(validate_catalog(catalog))


def test_record_that_is_no_xml_is_found(catalog: Path) -> None:
    put(catalog, "models", "metadata", b"<gmd:MD_Metadata>")
    assert "metadata.xml: is no XML" in messages(validate_catalog(catalog))


def test_record_that_is_not_valid_is_found(catalog: Path, iso_schemas: Path) -> None:
    content = (item_path(catalog, "models").parent / "metadata.xml").read_bytes()
    put(catalog, "models", "metadata", content.replace(b"gmd:dateStamp", b"gmd:dateOfStamp"))
    assert validate_catalog(catalog) == []
    assert "is no valid ISO 19139" in messages(validate_catalog(catalog, iso_schemas))


def test_record_with_an_outside_entity_reads_no_file(catalog: Path) -> None:
    secret = catalog.parent / "secret"
    secret.write_text("secret words")
    content = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{secret}">]><a>&x;</a>'
    put(catalog, "models", "metadata", content.encode())
    assert "secret words" not in messages(validate_catalog(catalog))
