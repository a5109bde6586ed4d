"""The STAC API before validators that others wrote."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cql2
import pytest

from cup4soil.settings import Settings
from stac_catalog.store import Store
from tests.catalog import catalogs
from tests.catalog.conftest import Made
from tests.catalog.offline import schemas_at_hand
from tests.catalog.servers import serving
from tests.catalog.test_api import application

api_validator = pytest.importorskip("stac_api_validator.validations")

_COLLECTION = "soc-0-20cm"
_CLASSES = (
    "core", "browseable", "item-search", "features", "collections", "children", "filter",
    "item-search#fields", "item-search#query", "item-search#filter", "features#sort", "features#fields",
    "features#query", "features#filter",
)  # fmt: skip
# Errors that are the validator's own, and why: see TestFaultsOfTheValidator.
_ITS_OWN = (
    r'"op": "between", "args": \[\{"property": "eo:cloud_cover"\}, \[0, 50\]\]',
    r'search with Query .\{"cup4soil:property": \{"in": \["soc", "clay"\]\}\}. had non-matching results: got \[.soc',
)


@pytest.fixture(scope="module")
def served(made: dict[str, Made], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store with a product of each kind, and enough maps for pages."""
    store = Store.open(tmp_path_factory.mktemp("validated") / "store", Settings(organisation="Soil Survey"))
    for each in made.values():
        store.register(each.record, each.folder)
    soil_map = made["soil-map"]
    for number in range(12):
        update = {"id": f"{soil_map.record.id}-{number}", "title": f"{soil_map.record.title} {number}"}
        store.register(soil_map.record.model_copy(update=update), soil_map.folder)
    with serving(application(store)) as address:
        yield address


def validated(root: str, classes: tuple[str, ...], query: Any, collection: str) -> list[str]:
    """The errors that the validator finds, but for its own; its warnings are recommendations."""
    area = {"type": "Polygon", "coordinates": [[[-20, 30], [40, 30], [40, 70], [-20, 70], [-20, 30]]]}
    with schemas_at_hand() as refused:
        _, errors = api_validator.validate_api(
            root_url=root,
            ccs_to_validate=list(classes),
            collection=collection,
            geometry=json.dumps(area),
            auth_bearer_token=None,
            auth_query_parameter=None,
            fields_nested_property="properties.title",
            validate_pagination=True,
            query_config=query,
            transaction_collection=None,
            headers={},
        )
    assert [each for each in refused if "schema" in each] == []
    return [str(each) for each in errors if not any(re.search(own, str(each)) for own in _ITS_OWN)]


def configured(title: str, numeric: str) -> Any:
    return api_validator.QueryConfig(
        query_comparison_field=numeric, query_eq_value="20", query_neq_value="10", query_lt_value="30",
        query_lte_value="20", query_gt_value="10", query_gte_value="20", query_substring_field="title",
        query_starts_with_value=title[:5], query_ends_with_value=title[-4:], query_contains_value=title[3:8],
        query_in_field="cup4soil:property", query_in_values="soc,clay",
    )  # fmt: skip


class TestApiValidator:
    """Transactions are not among the classes: it registers a scene without origin or licence, which is refused here."""

    @pytest.mark.filterwarnings("ignore:get_all_items is deprecated")
    def test_no_errors_but_its_own(self, served: str, made: dict[str, Made]) -> None:
        query = configured(made["soil-map"].record.title, "gsd")
        assert validated(f"{served}/stac", _CLASSES, query, _COLLECTION) == []

    def test_sort(self, tmp_path: Path) -> None:
        """It sorts by ``datetime``, and fails itself where that is null: so it gets items that have one."""
        items = [item for item in catalogs.items(60) if item["properties"]["datetime"]]
        for number, item in enumerate(items):
            item["collection"], item["properties"]["gsd"] = "c0", [10, 20, 30][number % 3]
        catalogs.write(tmp_path, items)
        with serving(application(Store(tmp_path, Settings()))) as address:
            assert validated(f"{address}/stac", ("item-search#sort",), configured("Alpha", "gsd"), "c0") == []


class TestFaultsOfTheValidator:
    def test_between_has_three_arguments(self) -> None:
        """CQL2 (OGC 21-065r2) has three; a list of two limits was in a draft. The schema of CQL2 says so."""
        subject = {"property": "eo:cloud_cover"}
        cql2.Expr({"op": "between", "args": [subject, 0, 50]}).validate()
        with pytest.raises(Exception, match="args"):
            cql2.Expr({"op": "between", "args": [subject, [0, 50]]}).validate()

    def test_in_is_held_against_the_letters_of_a_text(self) -> None:
        """It asks whether the set of what the property holds is disjoint; of a text that set is its letters."""
        assert set("soc").isdisjoint({"soc", "clay"})
