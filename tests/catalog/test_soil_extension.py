"""Our own extension of STAC: items keep its schema, and the schema finds faults."""

import copy
from typing import Any

import pytest

from cup4soil.settings import Settings
from stac_catalog.extensions import CUP4SOIL, extension_schemas
from stac_catalog.soil_extension import soil_fields, statistic_fields
from stac_catalog.stac import product_item
from stac_catalog.validation import schema_errors
from tests.catalog.conftest import Made

KINDS = ("composite", "soil-map", "model", "samples")


def item_of(made: dict[str, Made], kind: str, settings: Settings) -> dict[str, Any]:
    each = made[kind]
    return product_item(each.record, each.folder, settings, lambda source: None).to_dict()


@pytest.mark.parametrize("kind", KINDS)
def test_items_keep_the_schema(made: dict[str, Made], settings: Settings, kind: str) -> None:
    item = item_of(made, kind, settings)
    assert CUP4SOIL in item["stac_extensions"]
    assert list(schema_errors(item)) == []


def test_fields_of_a_map(made: dict[str, Made], settings: Settings) -> None:
    item = item_of(made, "soil-map", settings)
    properties, assets = item["properties"], item["assets"]
    assert properties["cup4soil:depth_interval"] == [0.0, 20.0]
    assert properties["cup4soil:applicability"]["area"] == "aoa"
    assert 0 <= properties["cup4soil:applicability"]["share"] <= 1
    assert assets["mean"]["cup4soil:statistic"] == "mean"
    assert assets["q05"]["cup4soil:probability"] == 0.05
    assert assets["aoa"]["cup4soil:statistic"] == "applicability"
    assert "cup4soil:statistic" not in assets["lineage"]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("q95-raw", {"cup4soil:statistic": "quantile", "cup4soil:probability": 0.95, "cup4soil:calibrated": False}),
        ("q00", {}),
        ("SRC", {}),
        ("pi90", {"cup4soil:statistic": "interval-width"}),
    ],
)
def test_statistic_by_name(name: str, fields: dict[str, Any]) -> None:
    assert statistic_fields(name) == fields


def test_depth_that_is_no_interval_has_none(made: dict[str, Made]) -> None:
    record = made["soil-map"].record.model_copy(update={"depth": "topsoil"})
    assert "cup4soil:depth_interval" not in soil_fields(record)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cup4soil:kind", None),
        ("cup4soil:kind", "Soil map"),
        ("cup4soil:verdict", "perhaps"),
        ("cup4soil:simulated", "no"),
        ("cup4soil:depth", "20 cm"),
        ("cup4soil:depth_interval", [0]),
        ("cup4soil:quality", [{"name": "RMSE"}]),
        ("cup4soil:applicability", {"share": 2}),
        ("cup4soil:property", None),
    ],
)
def test_the_schema_finds_faults(made: dict[str, Made], settings: Settings, field: str, value: object) -> None:
    item = copy.deepcopy(item_of(made, "soil-map", settings))
    if value is None:
        del item["properties"][field]
    else:
        item["properties"][field] = value
    assert any(each.startswith(CUP4SOIL) for each in schema_errors(item))


def test_the_schema_names_itself() -> None:
    assert extension_schemas()[CUP4SOIL]["$id"] == CUP4SOIL
