"""The item of a model: what its own document says of inputs, outputs, training data and versions."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cup4soil.errors import InvalidInput
from cup4soil.products import Document, ProductRecord, Source
from cup4soil.settings import Settings
from stac_catalog.stac import item_json, product_item
from stac_catalog.validation import schema_errors
from tests.catalog.conftest import Made

DESCRIPTION = Document(name="description", title="Arrays", file="model.json", media_type="application/json")
SOC = {"code": "soc", "title": "Soil organic carbon", "unit": "g/kg"}
CLAY = {"code": "clay", "title": "Clay content", "unit": "%"}


@pytest.fixture
def folder(made: dict[str, Made], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made["model"].folder, tmp_path / "model"))


def described(made: dict[str, Made], folder: Path, about: Any, **changes: Any) -> dict[str, Any]:
    """The item of the model with ``about`` as its description."""
    (folder / "model.json").write_text(about if isinstance(about, str) else json.dumps(about), encoding="utf-8")
    record = made["model"].record
    record = record.model_copy(update={"documents": (*record.documents, DESCRIPTION)} | changes)
    item = json.loads(item_json(product_item(record, folder, Settings(), lambda source: source.href)))
    assert list(schema_errors(item)) == []
    return dict(item["properties"])


def test_one_property_of_named_covariates(made: dict[str, Made], folder: Path) -> None:
    about = {
        "soil_property": SOC, "covariates": ["height", "land"], "levels": {"land": [2.0, 5.0]},
        "quantile_levels": [0.05, 0.5, 0.95], "software": {"scikit-learn": "1.9.1", "numpy": "2.5.5"},
    }  # fmt: skip
    found = described(made, folder, about)
    (entry,) = found["mlm:input"]
    assert entry["cup4soil:covariates"] == [{"name": "height"}, {"name": "land", "kind": "classes"}]
    assert entry["input"]["shape"] == [-1, 2]
    (output,) = found["mlm:output"]
    assert output["name"] == "soc 0-20cm"
    assert output["cup4soil:unit"] == "g/kg"
    assert output["result"]["shape"] == [-1, 4]
    assert found["mlm:framework_version"] == "1.9.1"
    assert found["processing:software"]["numpy"] == "2.5.5"
    assert "cup4soil" in found["processing:software"]


def test_several_properties_of_covariates_with_units(made: dict[str, Made], folder: Path) -> None:
    signature = [
        {"name": "height", "unit": "m", "kind": "continuous", "crs": "EPSG:3035", "formula": None},
        {"name": "land", "unit": None, "kind": "classes", "crs": "EPSG:3035"},
    ]
    about = {"signature": signature, "outputs": [{"soil_property": SOC}, {"soil_property": CLAY}]}
    found = described(made, folder, about)
    assert found["mlm:input"][0]["cup4soil:covariates"] == [
        {"name": "height", "unit": "m", "kind": "continuous", "crs": "EPSG:3035"},
        {"name": "land", "kind": "classes", "crs": "EPSG:3035"},
    ]
    assert [(each["cup4soil:property"], each["cup4soil:unit"]) for each in found["mlm:output"]] == [
        ("soc", "g/kg"), ("clay", "%"),
    ]  # fmt: skip


def test_training_data_are_referred_to_and_not_their_place(made: dict[str, Made], folder: Path) -> None:
    samples = Source(
        role="samples", id="a.csv", title="Samples", href="file:///home/somebody/a.csv", checksum="sha256:00",
        licence="CC-BY-4.0", properties={"samples": 90, "rows_in_file": 100, "excluded": {"no-value": 10}},
    )  # fmt: skip
    found = described(made, folder, {}, sources=(samples,))
    assert found["cup4soil:training_data"] == [
        {
            "id": "a.csv", "title": "Samples", "checksum": "sha256:00", "licence": "CC-BY-4.0", "samples": 90,
            "rows_in_file": 100,
        }
    ]  # fmt: skip
    assert "/home/" not in json.dumps(found)


@pytest.mark.parametrize("about", [{}, {"outputs": 3}, {"outputs": [1]}, {"software": 2, "levels": 3, "signature": 4}])
def test_what_is_not_said_stays_unsaid(made: dict[str, Made], folder: Path, about: dict[str, Any]) -> None:
    found = described(made, folder, about)
    assert found["mlm:output"][0]["name"] == "soc 0-20cm"
    assert "mlm:framework" not in found


@pytest.mark.parametrize("about", ["{", "[]", "[" * 100_000])
def test_damaged_description_is_refused(made: dict[str, Made], folder: Path, about: str) -> None:
    with pytest.raises(InvalidInput, match=r"model\.json"):
        described(made, folder, about)


def test_version_that_is_none_of_the_standard_s_is_left_out(made: dict[str, Made], folder: Path) -> None:
    found = described(made, folder, {"software": {"scikit-learn": "1.9"}})
    assert found["mlm:framework"] == "scikit-learn"
    assert "mlm:framework_version" not in found


def test_other_products_have_none_of_it(made: dict[str, Made]) -> None:
    record: ProductRecord = made["soil-map"].record
    item = json.loads(item_json(product_item(record, made["soil-map"].folder, Settings(), lambda source: source.href)))
    assert not any(name.startswith("mlm:") or name == "cup4soil:training_data" for name in item["properties"])
