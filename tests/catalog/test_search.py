"""The search index: held against brute force, and kept true to the catalog whatever happens to it."""

import base64
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import shape

from cup4soil.errors import InvalidInput, LimitExceeded, StoreError
from cup4soil.settings import Settings
from stac_catalog.search import INDEX_FILE, SearchIndex
from stac_catalog.search_filter import parse_filter
from stac_catalog.search_query import (
    Query,
    SortField,
    parse_geometry,
    parse_limit,
    parse_names,
    parse_period,
    parse_sort,
)
from stac_catalog.search_values import Box, parse_bbox, parse_instant
from stac_catalog.store import Store
from tests.catalog import catalogs
from tests.catalog.catalogs import Item
from tests.catalog.conftest import Made

REPOSITORY = Path(__file__).resolve().parents[2]
ITEMS = catalogs.items()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchIndex]:
    root = tmp_path_factory.mktemp("search")
    catalogs.write(root, ITEMS)
    made = SearchIndex(root / INDEX_FILE)
    yield made
    made.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    catalogs.write(tmp_path, ITEMS[:6])
    return tmp_path


def names(index: SearchIndex, query: Query) -> list[str]:
    """Ids of all pages, in order; every page but the last is full."""
    found: list[str] = []
    while True:
        page = index.search(query)
        found += [json.loads(text)["id"] for text in page.items]
        if page.token is None:
            return found
        assert len(page.items) == query.limit
        query = Query(**{name: getattr(query, name) for name in Query.__slots__} | {"token": page.token})


def ids(items: list[Item]) -> list[str]:
    return [item["id"] for item in items]


def time_of(item: Item, key: str) -> float:
    text = item["properties"].get(f"{key}_datetime") or item["properties"]["datetime"]
    return datetime.fromisoformat(text).timestamp()


def filtered(text: str) -> Query:
    return Query(condition=parse_filter(text, "cql2-text"), limit=100)


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


class TestValues:
    @given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)), st.integers(-1439, 1439))
    def test_instants(self, moment: datetime, minutes: int) -> None:
        offset = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
        text = f"{moment.isoformat(timespec='microseconds')}{offset}"
        since = datetime.fromisoformat(text) - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
        assert parse_instant(text) == (since.days * 86400 + since.seconds) * 10**6 + since.microseconds

    def test_leap_second_and_lower_case(self) -> None:
        assert parse_instant("1990-12-31t23:59:60z") == parse_instant("1991-01-01T00:00:00Z")
        assert parse_instant("2020-01-01T00:00:00.1234567Z") % 10**6 == 123456

    @pytest.mark.parametrize(
        "text",
        [
            "", "/", "..", "../..", "/..", "2020", "2020-01-01", "2020-01-01T00:00:00", "2020-01-01T25:00:00Z", "x/y",
            "2020-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "2020-01-01T00:00:00+0100", "2020-01-01T00:00:00+25:00",
            "2021-01-01T00:00:00Z/2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z/2021-01-01T00:00:00Z/..",
            "٢٠٢٠-01-01T00:00:00Z", "2020-01-01 00:00:00Z", 3, None, ["2020-01-01T00:00:00Z"],
        ],
    )  # fmt: skip
    def test_what_is_no_period_is_refused(self, text: object) -> None:
        with pytest.raises(InvalidInput):
            parse_period(text)

    @pytest.mark.parametrize(
        "text", ["2020-01-01T00:00:00Z/..", "../2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z/", "/2020-01-01T00:00:00Z"]
    )
    def test_open_periods(self, text: str) -> None:
        assert sorted(part is None for part in parse_period(text)) == [False, True]

    def test_boxes(self) -> None:
        assert parse_bbox("1,2,3,4") == parse_bbox([1, 2, -10, 3, 4, 10]) == (Box(1, 2, 3, 4),)
        assert parse_bbox("170,-10,-170,10") == (Box(170, -10, 180, 10), Box(-180, -10, -170, 10))

    @pytest.mark.parametrize(
        "value",
        [
            "", "1", "1,2,3", "1,2,3,x", "1,2,3,nan", "1,2,3,inf", "1,5,3,4", "-181,2,3,4", "1,2,3,91", "1,2,3,4,5",
            [True, 2, 3, 4], [10**400, 2, 3, 4], [[1], 2, 3, 4], {"a": 1}, 7, None,
        ],
    )  # fmt: skip
    def test_what_is_no_box_is_refused(self, value: object) -> None:
        with pytest.raises(InvalidInput):
            parse_bbox(value)

    @pytest.mark.parametrize(
        ("parse", "value"),
        [
            (parse_geometry, "x"), (parse_geometry, {}), (parse_geometry, {"type": "Point"}), (parse_geometry, 3),
            (parse_geometry, {"type": "Point", "coordinates": []}),
            (parse_geometry, {"type": "Point", "coordinates": [200, 0]}),
            (parse_geometry, {"type": "LineString", "coordinates": [[0, 0]] * 10_001}),
            (parse_geometry, {"type": "Feature", "geometry": {"type": "Point", "coordinates": [0, 0]}}),
            (parse_geometry, {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]}),
            (parse_sort, ""), (parse_sort, "a,b,c,d,e,f"), (parse_sort, "a,-a"), (parse_sort, "a;b"), (parse_sort, [3]),
            (parse_sort, [{"field": "a", "direction": "up"}]), (parse_sort, [{"direction": "asc"}]), (parse_sort, 3),
            (lambda value: parse_names(value, "ids"), 3), (lambda value: parse_names(value, "ids"), [3]),
            (lambda value: parse_names(value, "ids"), ["a"] * 1001),
            (lambda value: parse_limit(value, 9), "0"), (lambda value: parse_limit(value, 9), -1),
            (lambda value: parse_limit(value, 9), "1.5"), (lambda value: parse_limit(value, 9), True),
            (lambda value: parse_limit(value, 9), "٣"), (lambda value: parse_limit(value, 9), 1.5),
        ],
    )  # fmt: skip
    def test_what_is_no_value_is_refused(self, parse: Callable[[object], object], value: object) -> None:
        with pytest.raises(InvalidInput) as refused:
            parse(value)
        assert len(str(refused.value)) < 600

    def test_limit_above_the_most_is_the_most(self) -> None:
        assert parse_limit("5000", 1000) == parse_limit(5000, 1000) == 1000


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

    def test_pages_stay_when_items_come_and_the_index_is_made_anew(self, root: Path) -> None:
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


class TestInStepWithTheCatalog:
    def test_what_comes_and_goes_is_noticed(self, root: Path) -> None:
        index = SearchIndex(root / INDEX_FILE)
        assert set(names(index, Query())) == set(ids(ITEMS[:6]))
        assert index.is_current()
        catalogs.write(root, ITEMS[:9])
        assert not index.is_current()
        assert set(names(index, Query())) == set(ids(ITEMS[:9]))
        shutil.rmtree(root / "catalog" / "c1")
        left = [item for item in ITEMS[:9] if item["collection"] != "c1"][1:]
        catalogs.write(root, left)
        assert set(names(index, Query())) == set(ids(left))
        assert set(index.collections()) == {"c0", "c2"} == set(index.titles())
        assert index.collection("c1") is None
        assert index.item("c0", left[0]["id"] + "x") is None
        index.close()

    def test_item_that_was_replaced_is_read_again(self, root: Path) -> None:
        index = SearchIndex(root / INDEX_FILE)
        index.sync()
        changed = {**ITEMS[0], "properties": ITEMS[0]["properties"] | {"title": "changed"}}
        catalogs.write(root, [changed, *ITEMS[1:6]])
        assert names(index, filtered("title = 'changed'")) == [ITEMS[0]["id"]]
        assert index.search(Query()).matched == 6
        index.close()

    def test_other_index_on_the_same_file_sees_it_too(self, root: Path) -> None:
        one, other = SearchIndex(root / INDEX_FILE), SearchIndex(root / INDEX_FILE)
        assert one.search(Query()).matched == other.search(Query()).matched == 6
        catalogs.write(root, ITEMS[:8])
        assert one.search(Query()).matched == other.search(Query()).matched == 8
        one.close()
        other.close()

    def _spoil_garbage(self, path: Path) -> None:
        path.write_bytes(b"no database" * 5000)

    def _spoil_empty(self, path: Path) -> None:
        path.write_bytes(b"")

    def _spoil_deleted(self, path: Path) -> None:
        for each in path.parent.glob(f"{path.name}*"):
            each.unlink()

    def _spoil_tables(self, path: Path) -> None:
        with sqlite3.connect(path) as db:
            db.execute("DROP TABLE facts")
        db.close()

    def _spoil_version(self, path: Path) -> None:
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()

    def _spoil_middle(self, path: Path) -> None:
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        data = bytearray(path.read_bytes())
        data[4096:] = os.urandom(len(data) - 4096)
        path.write_bytes(data)

    @pytest.mark.parametrize("how", ["garbage", "empty", "deleted", "tables", "version", "middle"])
    @pytest.mark.parametrize("open_before", [True, False])
    def test_index_that_was_spoilt_is_made_anew(self, root: Path, how: str, open_before: bool) -> None:
        index = SearchIndex(root / INDEX_FILE)
        index.sync()
        if not open_before:
            index.close()
            index = SearchIndex(root / INDEX_FILE)
        getattr(self, f"_spoil_{how}")(root / INDEX_FILE)
        for _ in range(2):
            assert set(names(index, filtered("score IS NULL OR score <> 99"))) == set(ids(ITEMS[:6]))
        index.close()

    def test_damaged_catalog_is_an_error_and_comes_back(self, root: Path) -> None:
        index = SearchIndex(root / INDEX_FILE)
        path = root / "catalog" / "c0" / ITEMS[0]["id"] / f"{ITEMS[0]['id']}.json"
        good = path.read_text()
        for bad in ("{", "[]", "{}", '{"properties": {}}'):
            path.write_text(bad)
            with pytest.raises(StoreError, match="run cup4soil catalog build"):
                index.search(Query())
        path.write_text(good)
        assert index.search(Query()).matched == 6
        index.close()

    def test_folders_beside_the_catalog_count_when_they_are_there(self, root: Path) -> None:
        index = SearchIndex(root / INDEX_FILE)
        name = ITEMS[0]["id"]

        def hrefs() -> list[str]:
            item = json.loads(index.item("c0", name) or "")
            return [link["href"] for link in item["links"] if link["rel"] == "derived_from"]

        assert hrefs() == ["cup4soil-api:/collections/c0/items/x"]
        (root / "demo").mkdir()
        assert hrefs() == ["cup4soil-api:/collections/c0/items/x", "cup4soil-files:/demo/archive/a%20scene.json"]
        assert list(json.loads(index.item("c0", name) or "")["assets"]) == ["mean"]
        index.close()

    def test_registration_feeds_an_index_that_is_there(self, made: dict[str, Made], tmp_path: Path) -> None:
        store = Store.open(tmp_path / "s", Settings())
        store.register(made["samples"].record, made["samples"].folder)
        assert not (store.root / INDEX_FILE).exists()
        index = SearchIndex(store.root / INDEX_FILE)
        assert index.search(Query()).matched == 1
        store.register(made["model"].record, made["model"].folder)
        with sqlite3.connect(store.root / INDEX_FILE) as db:
            assert {row[0] for row in db.execute("SELECT collection FROM items")} == {"samples", "models"}
        db.close()
        assert index.search(Query()).matched == 2
        index.close()

    def test_registration_does_not_need_the_index(
        self, made: dict[str, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = Store.open(tmp_path / "s", Settings())
        index = SearchIndex(store.root / INDEX_FILE)
        index.sync()

        def full(self: SearchIndex) -> None:
            raise StoreError("no space left on the device")

        with monkeypatch.context() as patch:
            patch.setattr(SearchIndex, "sync", full)
            store.register(made["model"].record, made["model"].folder)
        assert "the search index does not follow: no space left" in caplog.text
        assert index.search(Query()).matched == 1
        index.close()


class TestManyAtOnce:
    def test_threads_see_every_state_whole(self, root: Path) -> None:
        index = SearchIndex(root / INDEX_FILE)
        valid = [set(ids(ITEMS[:count])) for count in (6, 20, 40)]

        def look(_: int) -> bool:
            return set(names(index, Query(limit=100))) in valid

        with ThreadPoolExecutor(8) as pool:
            looks = [pool.submit(look, number) for number in range(60)]
            for count in (20, 40):
                catalogs.write(root, ITEMS[:count])
            assert all(each.result() for each in looks)
        assert set(names(index, Query(limit=100))) == valid[-1]
        index.close()

    def test_processes_make_it_together_and_may_be_killed(self, tmp_path: Path) -> None:
        catalogs.write(tmp_path, catalogs.items(800))
        code = (
            "import sys; from pathlib import Path; from stac_catalog.search import SearchIndex, INDEX_FILE;"
            "from stac_catalog.search_query import Query; print('ready', flush=True); sys.stdin.readline();"
            "print(SearchIndex(Path(sys.argv[1]) / INDEX_FILE).search(Query()).matched, flush=True)"
        )
        command = [sys.executable, "-c", code, str(tmp_path)]
        started = [
            subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        for each in started:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        doomed, *others = started
        assert doomed.stdin is not None
        doomed.stdin.write("go\n")
        doomed.stdin.flush()
        while not (tmp_path / f"{INDEX_FILE}-wal").exists() and doomed.poll() is None:
            time.sleep(0.001)
        doomed.send_signal(signal.SIGKILL)
        doomed.communicate()
        assert [each.communicate("go\n", timeout=60)[0] for each in others] == ["800\n", "800\n"]
