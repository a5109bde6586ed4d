"""OGC API Features, Part 3: Filtering (19-079r2)."""

import json

from tests.conformance.asking import link, problem
from tests.conformance.conftest import Service, every

PART = "ogcapi-features-3/1.0"
SITES = "/collections/validation-sites"
ITEMS = f"{SITES}/items"


def test_queryables(service: Service) -> None:
    """/conf/queryables/get-conformance /conf/queryables/queryables-link /conf/queryables/get-queryables-uris
    /conf/queryables/get-queryables-response: a JSON schema, which the collection leads to."""
    answer = service.client.get(link(service.json(SITES), "ogc:queryables"))
    assert answer.headers["content-type"] == "application/schema+json"
    document = answer.json()
    assert document["$schema"].startswith("https://json-schema.org/draft/")
    assert document["$id"] == str(answer.url).split("?")[0]
    assert document["type"] == "object"
    assert {"observed", "fold", "inside_aoa", "geometry"} <= document["properties"].keys()


def test_queryables_as_parameters(service: Service) -> None:
    """/conf/queryables-query-parameters/parameters: each queryable filters by its own name; others are refused."""
    whole = every(service, ITEMS)
    found = every(service, ITEMS, fold="2")
    assert [each["id"] for each in found] == [each["id"] for each in whole if each["properties"]["fold"] == 2]
    problem(service.get(ITEMS, params={"price": "2"}), 400, "price")


def test_filter(service: Service) -> None:
    """/conf/filter/get-conformance /conf/filter/filter-param /conf/filter/filter-lang-param
    /conf/filter/filter-crs-param /conf/filter/expression-construction /conf/filter/mixing-expressions"""
    whole = every(service, ITEMS)
    expected = {e["id"] for e in whole if e["properties"]["observed"] > 50 and e["properties"]["fold"] == 1}
    text = every(service, ITEMS, filter="observed > 50 AND fold = 1")
    tree = {
        "op": "and",
        "args": [{"op": ">", "args": [{"property": "observed"}, 50]}, {"op": "=", "args": [{"property": "fold"}, 1]}],
    }
    parsed = every(service, ITEMS, filter=json.dumps(tree), **{"filter-lang": "cql2-json"})
    assert {each["id"] for each in text} == {each["id"] for each in parsed} == expected
    for params, said in (
        ({"filter": "price > 1"}, "price"),
        ({"filter": "observed >"}, "filter"),
        ({"filter": "fold = 1", "filter-lang": "sql"}, "filter-lang"),
    ):
        problem(service.get(ITEMS, params=params), 400, said)


def test_filter_with_other_parameters(service: Service) -> None:
    """/conf/features-filter/get-conformance /conf/features-filter/filter-param-multiple: all conditions hold."""
    both = {each["id"] for each in every(service, ITEMS, filter="observed > 50", bbox="8,47,14,52")}
    one = {each["id"] for each in every(service, ITEMS, filter="observed > 50")}
    other = {each["id"] for each in every(service, ITEMS, bbox="8,47,14,52")}
    assert both == one & other
    assert both
