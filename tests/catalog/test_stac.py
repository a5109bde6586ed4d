"""Items, collections and the root catalog: what they say, and that schemas and pystac agree."""

import hashlib
import json
import re
import warnings
from pathlib import Path
from typing import Any

import pystac
import pytest
import rasterio
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from cup4soil.products import Band, Layer, Measure, Source
from cup4soil.settings import Settings
from stac_catalog.assets import layer_fields
from stac_catalog.catalogs import Entry, Facts, Overview, collection_dict
from stac_catalog.extensions import USED, extension_schemas
from stac_catalog.stac import item_json, product_item, publications
from stac_catalog.validation import schema_errors
from tests.catalog import products
from tests.catalog.conftest import Filled
from tests.catalog.schemas import local_schemas

KINDS = ("composite", "soil-map", "model", "samples")


def item_of(filled: Filled, kind: str) -> dict[str, Any]:
    record = filled.products[kind].record
    document: dict[str, Any] = json.loads(
        (filled.catalog / record.collection / record.id / f"{record.id}.json").read_text()
    )
    return document


def folder_of(filled: Filled, kind: str) -> Path:
    record = filled.products[kind].record
    return filled.catalog / record.collection / record.id


def links(document: dict[str, Any], rel: str) -> list[str]:
    return [link["href"] for link in document["links"] if link["rel"] == rel]


def assert_bands_are_those_of(dataset: rasterio.DatasetReader, bands: list[dict[str, Any]]) -> None:
    assert [band["name"] for band in bands] == list(dataset.descriptions)
    assert [band["raster:scale"] for band in bands] == list(dataset.scales)
    assert [band["raster:offset"] for band in bands] == list(dataset.offsets)
    assert [band["nodata"] for band in bands] == list(dataset.nodatavals)
    assert [band["data_type"] for band in bands] == list(dataset.dtypes)


class TestValidity:
    def test_pystac_opens_walks_and_validates_all(self, filled: Filled, no_network: None) -> None:
        validator = JsonSchemaSTACValidator()
        validator.schema_cache |= extension_schemas()
        catalog = pystac.Catalog.from_file(str(filled.store.catalog_path))
        catalog.validate(validator)
        for collection in catalog.get_children():
            assert len(collection.validate(validator)) == 1 + len(collection.stac_extensions)
        for item in catalog.get_items(recursive=True):
            assert len(item.validate(validator)) == 1 + len(item.stac_extensions)
        assert {item.id for item in catalog.get_items(recursive=True)} == {
            m.record.id for m in filled.products.values()
        }

    def test_stac_validator_agrees(self, filled: Filled, no_network: None, tmp_path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stac_validator = pytest.importorskip("stac_validator.validate")
        places = local_schemas(tmp_path)
        for path in filled.catalog.rglob("*.json"):
            if path.name in ("catalog.json", "collection.json") or path.stem == path.parent.name:
                check = stac_validator.StacValidate(str(path), schema_map=places)
                assert check.run(), check.message
        wrong = item_of(filled, "soil-map")
        wrong["properties"]["proj:shape"] = "40x40"
        (tmp_path / "wrong.json").write_text(json.dumps(wrong))
        assert not stac_validator.StacValidate(str(tmp_path / "wrong.json"), schema_map=places).run()

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_extension_declared_is_used_and_every_one_used_is_declared(self, filled: Filled, kind: str) -> None:
        item = item_of(filled, kind)
        short = {"projection": "proj", "scientific": "sci"}
        prefixes = {short.get(name := uri.split("/")[3], name): uri for uri in USED if "version" not in uri}
        names = {name.split(":")[0] for name in _all_names(item) if ":" in name}
        declared = {uri for uri in item["stac_extensions"] if "version" not in uri}
        assert declared == {uri for prefix, uri in prefixes.items() if prefix in names}
        assert any("version" in uri for uri in item["stac_extensions"])

    def test_collections_are_valid_with_their_item_assets(self, filled: Filled) -> None:
        for path in filled.catalog.glob("*/collection.json"):
            assert list(schema_errors(json.loads(path.read_text()))) == []

    def test_schema_errors_are_found(self, filled: Filled) -> None:
        item = item_of(filled, "soil-map")
        item["properties"]["proj:shape"] = [40]
        item["assets"]["mean"]["file:checksum"] = "XYZ"
        item["assets"]["q05"]["bands"][0]["raster:scale"] = "a tenth"
        del item["geometry"]
        found = " ".join(schema_errors(item))
        for name in ("projection", "file", "raster", "item.json"):
            assert name in found

    def test_unknown_schema_is_a_problem_and_not_fetched(self, filled: Filled, no_network: None) -> None:
        item = item_of(filled, "samples")
        item["stac_extensions"].append("https://stac-extensions.github.io/unheard-of/v9.9.9/schema.json")
        item["properties"]["proj:projjson"] = {"type": "ProjectedCRS"}
        item["stac_extensions"].append("https://stac-extensions.github.io/projection/v2.0.0/schema.json")
        found = list(schema_errors(item))
        assert sum("is not at hand" in message for message in found) == 2


class TestItem:
    @pytest.mark.parametrize("kind", ["composite", "soil-map"])
    def test_projection_is_the_files_own(self, filled: Filled, kind: str) -> None:
        item = item_of(filled, kind)
        for asset in item["assets"].values():
            if "geotiff" in asset["type"]:
                with rasterio.open(folder_of(filled, kind) / asset["href"]) as dataset:
                    assert item["properties"]["proj:code"] == f"EPSG:{dataset.crs.to_epsg()}"
                    assert item["properties"]["proj:shape"] == list(dataset.shape)
                    assert item["properties"]["proj:transform"] == list(dataset.transform)[:6]
                    assert item["properties"]["proj:bbox"] == list(dataset.bounds)
                    assert_bands_are_those_of(dataset, asset["bands"])

    def test_bands_of_one_file_have_their_own_scales(self, settings: Settings, tmp_path: Path) -> None:
        record = products.composite(tmp_path, frequency=True)
        item = json.loads(item_json(product_item(record, tmp_path, settings, lambda source: source.href)))
        bands = item["assets"]["SFREQ"]["bands"]
        assert [band["raster:scale"] for band in bands] == [1e-4, 1.0, 1.0]
        with rasterio.open(tmp_path / "SFREQ.tif") as dataset:
            assert_bands_are_those_of(dataset, bands)

    @pytest.mark.parametrize("kind", ["composite", "soil-map"])
    def test_statistics_are_those_of_the_stored_cells(self, filled: Filled, kind: str) -> None:
        for key, asset in item_of(filled, kind)["assets"].items():
            if "geotiff" not in asset["type"]:
                continue
            with rasterio.open(folder_of(filled, kind) / asset["href"]) as dataset:
                cells = dataset.read(1, masked=True).compressed()
            said = asset["bands"][0]["statistics"]
            assert said["mean"] == pytest.approx(cells.mean(), abs=0.01), key
            assert said["stddev"] == pytest.approx(cells.std(), abs=0.01), key
            assert (said["minimum"], said["maximum"]) == pytest.approx((cells.min(), cells.max()), abs=1e-5)
            assert all("statistics" not in band for band in asset["bands"][1:])

    @pytest.mark.parametrize("kind", KINDS)
    def test_sizes_and_checksums_are_right(self, filled: Filled, kind: str) -> None:
        for asset in item_of(filled, kind)["assets"].values():
            content = (folder_of(filled, kind) / asset["href"]).read_bytes()
            assert asset["file:size"] == len(content)
            assert asset["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_href_is_relative_and_nothing_of_this_machine_is_said(self, filled: Filled, kind: str) -> None:
        text = (folder_of(filled, kind) / f"{filled.products[kind].record.id}.json").read_text()
        item = json.loads(text)
        hrefs = [link["href"] for link in item["links"]] + [asset["href"] for asset in item["assets"].values()]
        assert all(href.startswith(("./", "../", "https://")) for href in hrefs)
        assert str(filled.store.root) not in text
        assert "/home/" not in text

    def test_soil_map_says_what_it_is(self, filled: Filled) -> None:
        properties = item_of(filled, "soil-map")["properties"]
        assert properties["datetime"] is None
        assert properties["start_datetime"] == "2019-01-01T00:00:00Z"
        assert properties["end_datetime"] == "2021-12-31T23:59:59Z"
        assert properties["cup4soil:property"] == "soc"
        assert properties["cup4soil:depth"] == "0-20cm"
        assert properties["cup4soil:simulated"] is True
        assert "simulated" in properties["processing:lineage"]
        assert properties["license"] == "CC-BY-SA-4.0"
        assert properties["attribution"] == "LimeSoDa BB.250"
        assert properties["cup4soil:quality"][1]["value"] == 0.91
        assert properties["providers"][0]["name"] == "Soil Survey"

    def test_lineage_links(self, filled: Filled) -> None:
        composite, soil_map = item_of(filled, "composite"), item_of(filled, "soil-map")
        assert links(composite, "derived_from") == [f"https://archive.example/S2A_{i}.json" for i in range(2)]
        targets = [(folder_of(filled, "soil-map") / href).resolve() for href in links(soil_map, "derived_from")]
        assert [json.loads(path.read_text())["id"] for path in targets] == [
            filled.products["model"].record.id,
            filled.products["composite"].record.id,
        ]
        assert links(composite, "license") == ["https://creativecommons.org/licenses/by-sa/4.0/"]
        assert links(composite, "cite-as") == ["https://doi.org/10.3390/rs14184526"]
        assert links(composite, "describedby") == ["./metadata.xml"]

    def test_categories_become_classes(self, filled: Filled) -> None:
        mask = item_of(filled, "composite")["assets"]["MASK"]["classification:classes"]
        assert [(each["value"], each["name"]) for each in mask] == [
            (1, "bare-soil"), (2, "permanently-vegetated"), (3, "other"), (0, "nodata"),
        ]  # fmt: skip

    def test_composite_bands_have_common_names(self, filled: Filled) -> None:
        bands = item_of(filled, "composite")["assets"]["SRC"]["bands"]
        assert [band["eo:common_name"] for band in bands][:3] == ["blue", "green", "red"]
        assert len(bands) == 10

    def test_model_has_no_grid_but_its_role(self, filled: Filled) -> None:
        item = item_of(filled, "model")
        assert not any(name.startswith("proj:") for name in item["properties"])
        assert item["properties"]["mlm:hyperparameters"]["trees"] == 500
        assert item["properties"]["mlm:input"][0]["input"]["shape"] == [-1, 2]
        assert item["assets"]["model"]["roles"] == ["model", "mlm:model"]
        assert item["assets"]["model"]["mlm:artifact_type"] == "numpy.savez"

    def test_model_without_its_file_does_not_claim_the_extension(self, filled: Filled, settings: Settings) -> None:
        made = filled.products["model"]
        record = made.record.model_copy(update={"documents": made.record.documents[1:]})
        item = json.loads(item_json(product_item(record, made.folder, settings, lambda source: source.href)))
        assert not any("mlm" in uri for uri in item["stac_extensions"])
        assert list(schema_errors(item)) == []

    def test_simulated_is_said_in_the_description(self, filled: Filled) -> None:
        assert "simulated input" in item_of(filled, "soil-map")["properties"]["description"]
        assert "simulated" not in item_of(filled, "composite")["properties"]["description"]

    def test_resolution_is_in_metres_whatever_the_unit_of_the_crs(self, filled: Filled, settings: Settings) -> None:
        made = filled.products["composite"]
        feet = made.record.extent.model_copy(update={"crs": "EPSG:2263"})
        record = made.record.model_copy(update={"extent": feet})
        item = json.loads(item_json(product_item(record, made.folder, settings, lambda source: source.href)))
        # The US survey foot is 1200/3937 m.
        assert item["properties"]["gsd"] == pytest.approx(20 * 1200 / 3937, rel=1e-9)
        band = item["assets"]["SRC"]["bands"][0]
        assert band["raster:spatial_resolution"] == item["properties"]["gsd"]
        assert Facts.of(record).resolution == item["properties"]["gsd"]

    def test_crs_without_a_code_is_given_as_wkt(self, filled: Filled, settings: Settings) -> None:
        made = filled.products["samples"]
        wkt = (
            'GEOGCS["x",DATUM["d",SPHEROID["s",6378137,298.25]],PRIMEM["Greenwich",0],'
            'UNIT["degree",0.0174532925199433]]'
        )
        grid = {
            "crs": wkt,
            "shape": (2, 2),
            "transform": (1.0, 0.0, 0.0, 0.0, -1.0, 2.0),
            "grid_bbox": (0.0, 0.0, 2.0, 2.0),
        }
        record = made.record.model_copy(update={"extent": made.record.extent.model_copy(update=grid)})
        item = json.loads(item_json(product_item(record, made.folder, settings, lambda source: source.href)))
        assert item["properties"]["proj:code"] is None
        assert item["properties"]["proj:wkt2"] == wkt
        assert "gsd" not in item["properties"]
        assert list(schema_errors(item)) == []


class TestCollections:
    def test_extent_covers_the_items(self, filled: Filled) -> None:
        for made in filled.products.values():
            collection = json.loads((filled.catalog / made.record.collection / "collection.json").read_text())
            assert collection["extent"]["spatial"]["bbox"] == [list(made.record.extent.bbox)]
            assert collection["extent"]["temporal"]["interval"] == [["2019-01-01T00:00:00Z", "2021-12-31T23:59:59Z"]]

    def test_titles_and_summaries(self, filled: Filled) -> None:
        collection = json.loads((filled.catalog / "soc-0-20cm" / "collection.json").read_text())
        assert collection["title"] == "Soil organic carbon, 0-20 cm"
        assert collection["summaries"]["proj:code"] == ["EPSG:3035"]
        assert collection["summaries"]["gsd"] == [20.0]
        assert "made from simulated input" in collection["description"]
        assert set(collection["item_assets"]) == {
            "mean",
            "q05",
            "q50",
            "q95",
            "aoa",
            "metadata",
            "thumbnail",
            "lineage",
        }
        assert "statistics" not in json.dumps(collection["item_assets"])

    def test_item_assets_scale_each_band(self, settings: Settings, tmp_path: Path) -> None:
        record = products.composite(tmp_path, frequency=True)
        collection = collection_dict(record.collection, Overview.of([Entry.of(record)]), [], settings)
        bands = collection["item_assets"]["SFREQ"]["bands"]
        assert [band["raster:scale"] for band in bands] == [1e-4, 1.0, 1.0]

    def test_item_assets_hold_only_what_all_items_share(self, filled: Filled, settings: Settings) -> None:
        one = filled.products["soil-map"].record
        coarser = tuple(each.model_copy(update={"scale": 0.5}) for each in one.layers)
        other = one.model_copy(update={"id": "other", "layers": coarser[:-1]})
        collection = collection_dict(one.collection, Overview.of([Entry.of(one), Entry.of(other)]), [], settings)
        (band,) = collection["item_assets"]["mean"]["bands"]
        assert "raster:scale" not in band
        assert (band["name"], band["unit"]) == ("mean", "g/kg")
        assert collection["item_assets"]["aoa"]["bands"][0]["raster:scale"] == 1.0
        assert list(schema_errors(collection)) == []

    @pytest.mark.parametrize("kind", KINDS)
    def test_texts_claim_nothing_of_their_own(self, filled: Filled, kind: str) -> None:
        collection = filled.products[kind].record.collection
        text = json.loads((filled.catalog / collection / "collection.json").read_text())["description"]
        for claim in ("calibrated", "90 %", "several years", "random", "blocked"):
            assert claim not in text


@pytest.mark.parametrize(
    ("citation", "doi"),
    [
        ("Poggio et al. (2021). SOIL 7, 217. https://doi.org/10.5194/soil-7-217-2021", "10.5194/soil-7-217-2021"),
        ("A, doi:10.3390/rs14184526.", "10.3390/rs14184526"),
        ("B (10.1111/2041-210X.13650).", "10.1111/2041-210X.13650"),
        ("Meinshausen, N. (2006). JMLR 7, 983-999.", None),
        ("pages 10.5-10.9", None),
    ],
)
def test_identifiers_of_publications(filled: Filled, citation: str, doi: str | None) -> None:
    algorithm = filled.products["model"].record.algorithm.model_copy(update={"references": (citation,)})
    assert publications(algorithm) == [{"citation": citation} | ({"doi": doi} if doi else {})]


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=NAMES, limits=st.lists(NAMES, max_size=3), value=FINITE, unit=NAMES, identifier=NAMES)
def test_any_text_and_figure_makes_a_valid_item(
    filled: Filled, title: str, limits: list[str], value: float, unit: str, identifier: str
) -> None:
    made = filled.products["samples"]
    changes = {
        "title": title,
        "limitations": tuple(limits),
        "quality": (Measure(name=title, value=value, unit=unit, description="", support=""),),
        "sources": (Source(role="scene", id=identifier, properties={"x": title}),),
        "attribution": (unit,),
        "keywords": (title,),
    }
    record = made.record.model_copy(update=changes)
    item = json.loads(item_json(product_item(record, made.folder, Settings(), lambda source: source.href)))
    assert list(schema_errors(item)) == []
    assert item["properties"]["title"] == title


@hypothesis_settings(max_examples=40, deadline=None)
@given(categories=st.dictionaries(st.integers(0, 255), NAMES, min_size=1, max_size=6), nodata=st.integers(0, 255))
def test_any_categories_make_valid_classes(categories: dict[int, str], nodata: int) -> None:
    layer = Layer(
        name="MASK", title="m", description="m", file="m.tif", bands=(Band(name="m"),), dtype="uint8", nodata=nodata,
        categories=categories,
    )  # fmt: skip
    classes = layer_fields(layer, 20.0, statistics=False)["classification:classes"]
    values = [each["value"] for each in classes]
    assert len(set(values)) == len(values)
    assert set(values) == set(categories) | {nodata}
    assert all(re.fullmatch(r"[0-9A-Za-z-_]+", each["name"]) for each in classes)


def _all_names(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {name for each in value.values() for name in _all_names(each)}
    if isinstance(value, list):
        return {name for each in value for name in _all_names(each)}
    return set()
