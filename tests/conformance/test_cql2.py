"""Common Query Language, CQL2 (21-065r2), in filters of features; the oracle evaluates each expression in Python."""

import json
from collections.abc import Callable

import pytest
import shapely

from tests.conformance.conftest import Service, every

PART = "cql2/1.0"
ITEMS = "/collections/validation-sites/items"
AREA = "POLYGON((8 47,14 47,14 52,8 52,8 47))"
SHAPE = shapely.from_wkt(AREA)
type Test = Callable[[dict], bool]


@pytest.fixture(scope="module")
def sites(service: Service) -> list[dict]:
    return every(service, ITEMS)


def check(service: Service, sites: list[dict], expression: str, test: Test, **more: str) -> None:
    found = {each["id"] for each in every(service, ITEMS, filter=expression, **more)}
    assert found == {each["id"] for each in sites if test(each["properties"])}, expression


BASIC: tuple[tuple[str, Test], ...] = (
    ("fold = 1", lambda p: p["fold"] == 1),
    ("fold <> 1", lambda p: p["fold"] != 1),
    ("observed < 50", lambda p: p["observed"] < 50),
    ("observed <= 50", lambda p: p["observed"] <= 50),
    ("observed > 50", lambda p: p["observed"] > 50),
    ("observed >= 50", lambda p: p["observed"] >= 50),
    ("inside_aoa = TRUE", lambda p: p["inside_aoa"]),
    ("NOT (fold = 1)", lambda p: p["fold"] != 1),
    ("fold = 1 AND inside_aoa = FALSE", lambda p: p["fold"] == 1 and not p["inside_aoa"]),
    ("fold = 1 OR fold = 2 AND observed > 50", lambda p: p["fold"] == 1 or (p["fold"] == 2 and p["observed"] > 50)),
    ("sample IS NULL", lambda p: p["sample"] is None),
    ("sample IS NOT NULL", lambda p: p["sample"] is not None),
    ("start_datetime < TIMESTAMP('2019-01-01T00:00:00Z')", lambda p: p["start_datetime"] < "2019"),
)
ADVANCED: tuple[tuple[str, Test], ...] = (
    ("sample LIKE '000%'", lambda p: p["sample"].startswith("000")),
    ("sample NOT LIKE '000%'", lambda p: not p["sample"].startswith("000")),
    ("observed BETWEEN 20 AND 40", lambda p: 20 <= p["observed"] <= 40),
    ("fold IN (0, 3)", lambda p: p["fold"] in (0, 3)),
    ("fold NOT IN (0, 3)", lambda p: p["fold"] not in (0, 3)),
)


@pytest.mark.parametrize(("expression", "test"), BASIC)
def test_text(service: Service, sites: list[dict], expression: str, test: Test) -> None:
    """/conf/cql2-text/validate /conf/basic-cql2/basic-test-cases /conf/basic-cql2/logical"""
    check(service, sites, expression, test)


def test_json(service: Service, sites: list[dict]) -> None:
    """/conf/cql2-json/validate: the same expressions as trees."""
    for operator, test in (("=", lambda p: p["fold"] == 2), ("<>", lambda p: p["fold"] != 2)):
        tree = json.dumps({"op": operator, "args": [{"property": "fold"}, 2]})
        check(service, sites, tree, test, **{"filter-lang": "cql2-json"})
    tree = json.dumps({"op": "not", "args": [{"op": "in", "args": [{"property": "fold"}, [1, 2]]}]})
    check(service, sites, tree, lambda p: p["fold"] not in (1, 2), **{"filter-lang": "cql2-json"})


@pytest.mark.parametrize(("expression", "test"), ADVANCED)
def test_advanced_comparison(service: Service, sites: list[dict], expression: str, test: Test) -> None:
    """/conf/advanced-comparison-operators/like /conf/advanced-comparison-operators/between
    /conf/advanced-comparison-operators/in"""
    check(service, sites, expression, test)


def located(sites: list[dict], test: Callable[[shapely.Geometry], bool]) -> set[str]:
    return {each["id"] for each in sites if test(shapely.geometry.shape(each["geometry"]))}


@pytest.mark.parametrize("area", [AREA, "BBOX(8,47,14,52)"])
def test_basic_spatial(service: Service, sites: list[dict], area: str) -> None:
    """/conf/basic-spatial-functions/s_intersects /conf/basic-spatial-functions-plus/s_intersects"""
    found = {each["id"] for each in every(service, ITEMS, filter=f"S_INTERSECTS(geometry, {area})")}
    assert found == located(sites, SHAPE.intersects)
    assert found
    x, y = sites[0]["geometry"]["coordinates"]
    point = every(service, ITEMS, filter=f"S_INTERSECTS(geometry, POINT({x} {y}))")
    assert [each["id"] for each in point] == [sites[0]["id"]]


@pytest.mark.parametrize(
    "name", ["intersects", "within", "disjoint", "contains", "crosses", "equals", "overlaps", "touches"]
)
def test_spatial(service: Service, sites: list[dict], name: str) -> None:
    """/conf/spatial-functions/s_contains /conf/spatial-functions/s_crosses /conf/spatial-functions/s_disjoint
    /conf/spatial-functions/s_equals /conf/spatial-functions/s_overlaps /conf/spatial-functions/s_touches
    /conf/spatial-functions/s_within"""
    found = {each["id"] for each in every(service, ITEMS, filter=f"S_{name.upper()}(geometry, {AREA})")}
    assert found == located(sites, lambda place: getattr(place, name)(SHAPE))
