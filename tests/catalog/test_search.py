"""The search index: held against brute force, and kept true to the catalog whatever happens to it."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import shape

from cup4soil.errors import InvalidInput, LimitExceeded
from stac_catalog.search import INDEX_FILE, SearchIndex
from stac_catalog.search_filter import parse_filter
from stac_catalog.search_query import (
    Query,
    SortField,
    parse_geometry,
    parse_period,
    parse_sort,
)
from stac_catalog.search_values import parse_bbox
from tests.catalog import catalogs
from tests.catalog.catalogs import Item
from tests.catalog.searching import ITEMS, filtered, ids, names


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchIndex]:
    root = tmp_path_factory.mktemp("search")
    catalogs.write(root, ITEMS)
    made = SearchIndex(root / INDEX_FILE)
    yield made
    made.close()


def time_of(item: Item, key: str) -> float:
    text = item["properties"].get(f"{key}_datetime") or item["properties"]["datetime"]
    return datetime.fromisoformat(text).timestamp()


longitudes, latitudes = st.floats(-180, 180), st.floats(-90, 90)
boxes = st.tuples(longitudes, latitudes, longitudes, latitudes).map(
    lambda b: (b[0], min(b[1], b[3]), b[2], max(b[1], b[3]))
)
years = st.integers(2010, 2030)


class TestAgainstBruteForce:
    @settings(max_examples=60)
    @given(
        st.none() | boxes,
        st.none() | st.tuples(years, years).map(sorted),
        st.lists(st.sampled_from(["c0", "c1", "c2", "none"]), max_size=2),
        st.integers(1, 20),
    )
    def test_box_period_and_collections(
        self, index: SearchIndex, box: Any, period: Any, collections: list[str], limit: int
    ) -> None:
        asked = Query(
            boxes=() if box is None else parse_bbox(list(box)),
            period=None if period is None else parse_period(f"{period[0]}-06-01T00:00:00Z/{period[1]}-07-01T00:00:00Z"),
            collections=tuple(collections),
            limit=limit,
        )

        def fits(item: Item) -> bool:
            corners = [shapely.MultiPoint([(b.west, b.south), (b.east, b.south), (b.east, b.north), (b.west, b.north)])
                       for b in asked.boxes]  # fmt: skip
            in_space = box is None or any(shape(item["geometry"]).intersects(each.convex_hull) for each in corners)
            first = last = 0.0
            if period is not None:
                first = datetime.fromisoformat(f"{period[0]}-06-01T00:00:00Z").timestamp()
                last = datetime.fromisoformat(f"{period[1]}-07-01T00:00:00Z").timestamp()
            in_time = period is None or (time_of(item, "start") <= last and time_of(item, "end") >= first)
            return in_space and in_time and (not collections or item["collection"] in collections)

        expected = sorted(filter(fits, ITEMS), key=lambda item: (item["collection"], item["id"]))
        assert names(index, asked) == ids(expected)
        assert index.search(asked).matched == len(expected)

    @settings(max_examples=40)
    @given(st.lists(st.tuples(longitudes, latitudes), min_size=3, max_size=6))
    def test_geometry(self, index: SearchIndex, points: list[tuple[float, float]]) -> None:
        hull = shapely.MultiPoint(points).convex_hull
        found = names(index, Query(intersects=parse_geometry(shapely.to_geojson(hull)), limit=100))
        assert set(found) == {item["id"] for item in ITEMS if shape(item["geometry"]).intersects(hull)}

    @pytest.mark.parametrize("descending", [False, True])
    @pytest.mark.parametrize("limit", [1, 7, 100])
    def test_sorted_pages_with_what_lacks_the_property_last(
        self, index: SearchIndex, descending: bool, limit: int
    ) -> None:
        asked = Query(sort=(SortField("score", descending), SortField("title", descending=False)), limit=limit)
        sign = -1 if descending else 1

        def key(item: Item) -> tuple[Any, ...]:
            score = item["properties"].get("score")
            return (score is None, sign * (score or 0), item["properties"]["title"], item["collection"], item["id"])

        assert names(index, asked) == ids(sorted(ITEMS, key=key))

    def test_sorted_by_time_id_and_collection(self, index: SearchIndex) -> None:
        found = names(index, Query(sort=parse_sort("-datetime,id"), limit=9))
        assert found == ids(sorted(ITEMS, key=lambda item: (-time_of(item, "start"), item["id"])))
        found = names(index, Query(sort=parse_sort("-collection,-id"), limit=9))
        assert found == ids(sorted(ITEMS, key=lambda item: (item["collection"], item["id"]), reverse=True))

    def test_ids(self, index: SearchIndex) -> None:
        wanted = ids(ITEMS[3:6])
        assert sorted(names(index, Query(ids=(*wanted, "none")))) == sorted(wanted)


# A leaf of a filter and what it says of an item's properties: None where it is neither true nor false.
LEAVES: list[tuple[str, Callable[[Item], bool | None]]] = [
    ("score > 1", lambda p: None if "score" not in p else p["score"] > 1),
    ("1 >= score", lambda p: None if "score" not in p else p["score"] <= 1),
    ("score <> 2.5", lambda p: None if "score" not in p else p["score"] != 2.5),
    ("score BETWEEN 0 AND 2.5", lambda p: None if "score" not in p else 0 <= p["score"] <= 2.5),
    ("score IN (1, 10)", lambda p: None if "score" not in p else p["score"] in (1, 10)),
    ("score + 1 > 2", lambda p: None if "score" not in p else p["score"] > 1),
    ("score IS NULL", lambda p: "score" not in p),
    ("title = 'Alpha'", lambda p: p["title"] == "Alpha"),
    ("title < 'a'", lambda p: p["title"] < "a"),
    ("title LIKE '%a'", lambda p: p["title"].endswith("a")),
    ("title LIKE 'Gamma \\% ray'", lambda p: p["title"] == "Gamma % ray"),
    ("title LIKE 'delta\\_*'", lambda p: p["title"] == "delta_*"),
    ("title LIKE '_eta'", lambda p: p["title"] == "beta"),
    ("CASEI(title) = CASEI('ALPHA')", lambda p: p["title"] == "Alpha"),
    ("A_CONTAINS(keywords, ('clay'))", lambda p: "clay" in p["keywords"]),
    ("simulated = TRUE", lambda p: p["simulated"]),
    ("properties.simulated = FALSE", lambda p: not p["simulated"]),
    ("\"cup4soil:algorithm.name\" = 'scmap'", lambda p: p["cup4soil:algorithm"]["name"] == "scmap"),
    ("created >= TIMESTAMP('2026-01-10T12:00:00Z')", lambda p: p["created"] >= "2026-01-10T12:00:00Z"),
    ("created >= '2026-01-10T13:00:00+01:00'", lambda p: p["created"] >= "2026-01-10T12:00:00Z"),
    ("created = DATE('2026-01-10')", lambda p: p["created"] == "2026-01-10T12:00:00Z"),
    ("created > DATE('2026-01-10')", lambda p: p["created"] > "2026-01-11"),
    ("nothing = 1", lambda p: None),
    ("nothing IS NULL", lambda p: True),
    ("TRUE", lambda p: True),
]  # fmt: skip
trees = st.recursive(
    st.sampled_from(LEAVES).map(lambda leaf: ("leaf", leaf)),
    lambda parts: st.tuples(st.just("not"), parts)
    | st.tuples(st.sampled_from(["and", "or"]), parts, parts),
    max_leaves=6,
)  # fmt: skip


def as_text(tree: Any) -> str:
    match tree:
        case ("leaf", (text, _)):
            return f"({text})"
        case ("not", part):
            return f"NOT {as_text(part)}"
        case (word, left, right):
            return f"({as_text(left)} {word.upper()} {as_text(right)})"
    raise AssertionError(tree)


def truth(tree: Any, properties: Item) -> bool | None:
    """Logic of three values, as SQL and CQL2 have it."""
    match tree:
        case ("leaf", (_, test)):
            known: bool | None = test(properties)
            return known
        case ("not", part):
            value = truth(part, properties)
            return None if value is None else not value
        case (word, left, right):
            values = [truth(left, properties), truth(right, properties)]
            decisive = word == "or"
            return decisive if decisive in values else None if None in values else not decisive
    raise AssertionError(tree)


class TestFilter:
    @pytest.mark.parametrize(("text", "test"), LEAVES, ids=[leaf[0] for leaf in LEAVES])
    def test_leaves(self, index: SearchIndex, text: str, test: Callable[[Item], bool | None]) -> None:
        expected = {item["id"] for item in ITEMS if test(item["properties"])}
        assert set(names(index, filtered(text))) == expected

    @settings(max_examples=80)
    @given(trees)
    def test_and_or_not(self, index: SearchIndex, tree: Any) -> None:
        expected = {item["id"] for item in ITEMS if truth(tree, item["properties"])}
        assert set(names(index, filtered(as_text(tree)))) == expected

    @pytest.mark.parametrize("name", ["intersects", "disjoint", "within", "contains", "overlaps"])
    @pytest.mark.parametrize("negated", [False, True])
    def test_space(self, index: SearchIndex, name: str, negated: bool) -> None:
        area = shapely.box(-60, -50, 120, 60)
        small = shapely.Point(*ITEMS[1]["geometry"]["coordinates"][0][0][0]).buffer(0.01)
        for geometry in (area, small):
            test = getattr(shapely, name)
            text = f"{'NOT ' if negated else ''}S_{name.upper()}(geometry, {geometry.wkt})"
            expected = {item["id"] for item in ITEMS if bool(test(shape(item["geometry"]), geometry)) != negated}
            assert set(names(index, filtered(text))) == expected

    def test_box_across_the_antimeridian(self, index: SearchIndex) -> None:
        found = set(names(index, filtered("S_INTERSECTS(geometry, BBOX(176, -90, -173, 90))")))
        assert found == set(names(index, Query(boxes=parse_bbox("176,-90,-173,90"), limit=100)))
        assert {item["id"] for item in ITEMS if item["bbox"][0] > item["bbox"][2]} <= found

    def test_time_relations(self, index: SearchIndex) -> None:
        start, end = "2018-01-01T00:00:00Z", "2019-06-01T00:00:00Z"
        first, last = (datetime.fromisoformat(text).timestamp() for text in (start, end))
        interval = f"INTERVAL('{start}', '{end}')"
        tests: dict[str, Callable[[Item], bool]] = {
            f"T_INTERSECTS(datetime, {interval})": lambda i: time_of(i, "start") <= last and time_of(i, "end") >= first,
            f"NOT T_INTERSECTS(datetime, {interval})": lambda i: (
                time_of(i, "start") > last or time_of(i, "end") < first
            ),
            f"T_AFTER(datetime, {interval})": lambda i: time_of(i, "start") > last,
            f"T_BEFORE(datetime, TIMESTAMP('{start}'))": lambda i: time_of(i, "end") < first,
            f"T_DURING(datetime, INTERVAL('{start}', '..'))": lambda i: time_of(i, "start") > first,
            "T_AFTER(created, DATE('2026-01-14'))": lambda i: i["properties"]["created"] > "2026-01-15",
        }
        for text, test in tests.items():
            assert set(names(index, filtered(text))) == {item["id"] for item in ITEMS if test(item)}, text

    def test_json_says_the_same(self, index: SearchIndex) -> None:
        tree = {"op": "and", "args": [{"op": ">", "args": [{"property": "score"}, 1]},
                                      {"op": "like", "args": [{"property": "title"}, "%a"]}]}  # fmt: skip
        asked = Query(condition=parse_filter(tree, "cql2-json"), limit=100)
        assert names(index, asked) == names(index, filtered("score > 1 AND title LIKE '%a'"))
        assert names(index, Query(condition=parse_filter(json.dumps(tree), "cql2-json"), limit=100)) == names(
            index, asked
        )

    @pytest.mark.parametrize(
        "text",
        [
            "", "score >", "foo(score) = 1", "score", "S_INTERSECTS(score, POINT(1 2))",
            "S_INTERSECTS(geometry, score)",
            "S_INTERSECTS(geometry, POINT(1000 2))", "S_INTERSECTS(geometry, POLYGON((0 0, 1 1, 0 1, 1 0, 0 0)))",
            "created > DATE('2026-13-40')", "created > TIMESTAMP('yesterday')", "T_AFTER(created, 3)",
            "S_FOO(geometry)",
            "T_AFTER(created)", "between(1)", "score = foo(1)", "NOT score", "1", "'x'",
            "(" * 3000 + "score=1" + ")" * 3000, "NOT " * 2000 + "score=1", "score = " + "1^" * 3000 + "1",
            "score = " + "-" * 9000 + "1", " OR ".join(["score = 1"] * 900), "score = 1 " + " " * 10_000,
            "score = '\x00",
        ],
    )  # fmt: skip
    def test_what_is_no_filter_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            parse_filter(text, "cql2-text")
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 600

    @pytest.mark.parametrize(
        "tree",
        [
            [], 3, None, "x", {}, {"op": "and"}, {"op": "and", "args": []}, {"op": "=", "args": []},
            {"op": "=", "args": [{"property": "a"}, None]},
            {"op": "=", "args": [{"property": 3}, 1]}, {"op": "in", "args": [{"property": "a"}, 3]},
            {"op": "in", "args": [{"property": "a"}, []]},
            {"op": "t_after", "args": [{"interval": [1, 2]}, {"interval": ["..", ".."]}]}, {"op": 3, "args": []},
            {"op": "s_intersects", "args": [{"property": "geometry"}, {"type": "Polygon", "coordinates": []}]},
            {"op": "s_intersects", "args": [{"property": "geometry"}, {"type": "Polygon", "coordinates": "x"}]},
            {"op": "isNull", "args": [1]}, {"op": "like", "args": [{"property": "a"}]},
        ],
    )  # fmt: skip
    def test_what_is_no_tree_is_refused(self, tree: object) -> None:
        with pytest.raises(InvalidInput):
            parse_filter(tree, "cql2-json")

    def test_patterns_take_no_time(self, index: SearchIndex) -> None:
        begin = time.process_time()
        names(index, filtered(f"title LIKE '{'%a' * 2000}'"))
        assert time.process_time() - begin < 1


class TestPages:
    def test_token_of_another_search_or_made_up_is_refused(self, index: SearchIndex) -> None:
        token = index.search(Query(limit=2)).token
        assert token is not None
        assert index.search(Query(limit=5, token=token)).items  # another limit is the same search
        for asked in (
            Query(collections=("c0",), token=token),
            Query(token=f"{token}x"),
            Query(token="é"),
            Query(token=""),
        ):
            with pytest.raises(InvalidInput, match="token is not one of this search"):
                index.search(asked)

    @given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: base64.urlsafe_b64encode(data).decode()))
    def test_any_token_is_refused(self, index: SearchIndex, token: str) -> None:
        with pytest.raises(InvalidInput):
            index.search(Query(token=token))

    def test_pages_stay_when_items_come_and_the_index_is_made_anew(self, tmp_path: Path) -> None:
        root = tmp_path
        catalogs.write(root, ITEMS[:6])
        index = SearchIndex(root / INDEX_FILE)
        first = index.search(Query(limit=3))
        catalogs.write(root, ITEMS[:12])
        (root / INDEX_FILE).unlink()
        seen = [json.loads(text)["id"] for text in first.items]
        seen += names(index, Query(limit=3, token=first.token))
        assert len(seen) == len(set(seen))
        assert set(ids(ITEMS[:6])) <= set(seen)
        index.close()

    def test_search_that_takes_too_long_is_given_up(self, tmp_path: Path) -> None:
        catalogs.write(tmp_path, catalogs.items(400))
        index = SearchIndex(tmp_path / INDEX_FILE, seconds=-1)
        slow = " AND ".join(["CASEI(title) <> CASEI('x')"] * 60)
        with pytest.raises(LimitExceeded, match="took longer"):
            index.search(Query(condition=parse_filter(slow, "cql2-text"), limit=1000))
        index.close()
