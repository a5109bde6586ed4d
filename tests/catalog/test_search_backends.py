"""The contract of search backends: every one answers as brute force does, and follows the catalog."""

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import shape

from cup4soil.errors import InvalidInput
from stac_catalog.search_aggregation import Aggregation, columns_and_rows, geohash
from stac_catalog.search_backend import SearchBackend
from stac_catalog.search_filter import parse_filter
from stac_catalog.search_query import Query, SortField, parse_geometry, parse_period, parse_sort
from stac_catalog.search_values import parse_bbox
from stac_catalog.visibility import HIDDEN
from tests.catalog import catalogs
from tests.catalog.backends import BACKENDS, Opened
from tests.catalog.catalogs import Item
from tests.catalog.searching import ITEMS, filtered, ids, names


@pytest.fixture(scope="module", params=list(BACKENDS))
def opened(request: pytest.FixtureRequest) -> Opened:
    """Opens the backend of a store."""
    return BACKENDS[request.param]


@pytest.fixture(scope="module")
def backend(opened: Opened, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchBackend]:
    """A backend of a store with :data:`ITEMS`, which no test changes."""
    root = tmp_path_factory.mktemp("search")
    catalogs.write(root, ITEMS)
    with opened(root) as made:
        yield made


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
        self, backend: SearchBackend, box: Any, period: Any, collections: list[str], limit: int
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
        assert names(backend, asked) == ids(expected)
        assert backend.search(asked).matched == len(expected)

    @settings(max_examples=40)
    @given(st.lists(st.tuples(longitudes, latitudes), min_size=3, max_size=6))
    def test_geometry(self, backend: SearchBackend, points: list[tuple[float, float]]) -> None:
        hull = shapely.MultiPoint(points).convex_hull
        found = names(backend, Query(intersects=parse_geometry(shapely.to_geojson(hull)), limit=100))
        assert set(found) == {item["id"] for item in ITEMS if shape(item["geometry"]).intersects(hull)}

    @pytest.mark.parametrize("descending", [False, True])
    @pytest.mark.parametrize("limit", [1, 7, 100])
    def test_sorted_pages_with_what_lacks_the_property_last(
        self, backend: SearchBackend, descending: bool, limit: int
    ) -> None:
        asked = Query(sort=(SortField("score", descending), SortField("title", descending=False)), limit=limit)
        sign = -1 if descending else 1

        def key(item: Item) -> tuple[Any, ...]:
            score = item["properties"].get("score")
            return (score is None, sign * (score or 0), item["properties"]["title"], item["collection"], item["id"])

        assert names(backend, asked) == ids(sorted(ITEMS, key=key))

    def test_sorted_by_time_id_and_collection(self, backend: SearchBackend) -> None:
        found = names(backend, Query(sort=parse_sort("-datetime,id"), limit=9))
        assert found == ids(sorted(ITEMS, key=lambda item: (-time_of(item, "start"), item["id"])))
        found = names(backend, Query(sort=parse_sort("-collection,-id"), limit=9))
        assert found == ids(sorted(ITEMS, key=lambda item: (item["collection"], item["id"]), reverse=True))

    def test_ids(self, backend: SearchBackend) -> None:
        wanted = ids(ITEMS[3:6])
        assert sorted(names(backend, Query(ids=(*wanted, "none")))) == sorted(wanted)


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
    ("CASEI(properties.title) = 'alpha'", lambda p: p["title"] == "Alpha"),
    ("properties.score + 1 > 2", lambda p: None if "score" not in p else p["score"] > 1),
    ("1 + 1 = 2", lambda p: True),
    ("1 + 1 = 3", lambda p: False),
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
    def test_leaves(self, backend: SearchBackend, text: str, test: Callable[[Item], bool | None]) -> None:
        expected = {item["id"] for item in ITEMS if test(item["properties"])}
        assert set(names(backend, filtered(text))) == expected

    @settings(max_examples=80)
    @given(trees)
    def test_and_or_not(self, backend: SearchBackend, tree: Any) -> None:
        expected = {item["id"] for item in ITEMS if truth(tree, item["properties"])}
        assert set(names(backend, filtered(as_text(tree)))) == expected

    @pytest.mark.parametrize("name", ["intersects", "disjoint", "within", "contains", "overlaps"])
    @pytest.mark.parametrize("negated", [False, True])
    def test_space(self, backend: SearchBackend, name: str, negated: bool) -> None:
        area = shapely.box(-60, -50, 120, 60)
        small = shapely.Point(*ITEMS[1]["geometry"]["coordinates"][0][0][0]).buffer(0.01)
        for geometry in (area, small):
            test = getattr(shapely, name)
            text = f"{'NOT ' if negated else ''}S_{name.upper()}(geometry, {geometry.wkt})"
            expected = {item["id"] for item in ITEMS if bool(test(shape(item["geometry"]), geometry)) != negated}
            assert set(names(backend, filtered(text))) == expected

    def test_box_across_the_antimeridian(self, backend: SearchBackend) -> None:
        found = set(names(backend, filtered("S_INTERSECTS(geometry, BBOX(176, -90, -173, 90))")))
        assert found == set(names(backend, Query(boxes=parse_bbox("176,-90,-173,90"), limit=100)))
        assert {item["id"] for item in ITEMS if item["bbox"][0] > item["bbox"][2]} <= found

    def test_time_relations(self, backend: SearchBackend) -> None:
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
            assert set(names(backend, filtered(text))) == {item["id"] for item in ITEMS if test(item)}, text

    def test_json_says_the_same(self, backend: SearchBackend) -> None:
        tree = {"op": "and", "args": [{"op": ">", "args": [{"property": "score"}, 1]},
                                      {"op": "like", "args": [{"property": "title"}, "%a"]}]}  # fmt: skip
        asked = Query(filter=parse_filter(tree, "cql2-json"), limit=100)
        assert names(backend, asked) == names(backend, filtered("score > 1 AND title LIKE '%a'"))
        assert names(backend, Query(filter=parse_filter(json.dumps(tree), "cql2-json"), limit=100)) == names(
            backend, asked
        )


class TestPages:
    def test_token_of_another_search_or_made_up_is_refused(self, backend: SearchBackend) -> None:
        token = backend.search(Query(limit=2)).token
        assert token is not None
        assert backend.search(Query(limit=5, token=token)).items  # another limit is the same search
        for asked in (
            Query(collections=("c0",), token=token),
            Query(token=f"{token}x"),
            Query(token="é"),
            Query(token=""),
        ):
            with pytest.raises(InvalidInput, match="token is not one of this search"):
                backend.search(asked)

    @given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: base64.urlsafe_b64encode(data).decode()))
    def test_any_token_is_refused(self, backend: SearchBackend, token: str) -> None:
        with pytest.raises(InvalidInput):
            backend.search(Query(token=token))

    def test_pages_stay_when_items_come(self, opened: Opened, tmp_path: Path) -> None:
        catalogs.write(tmp_path, ITEMS[:6])
        with opened(tmp_path) as backend:
            first = backend.search(Query(limit=3))
            catalogs.write(tmp_path, ITEMS[:12])
            seen = [json.loads(text)["id"] for text in first.items]
            seen += names(backend, Query(limit=3, token=first.token))
        assert len(seen) == len(set(seen))
        assert set(ids(ITEMS[:6])) <= set(seen)


def middle(item: Item) -> tuple[float, float]:
    west, south, east, north = item["bbox"]
    x = (west + east) / 2 + (180 if west > east else 0)
    return (x - 360 if x > 180 else x), (south + north) / 2


def by_bisection(x: float, y: float, precision: int) -> str:
    """Geohash as it is defined: halving the globe in turns."""
    spans, bits = [[-180.0, 180.0], [-90.0, 90.0]], ""
    for turn in range(5 * precision):
        span, value = spans[turn % 2], (x, y)[turn % 2]
        half = sum(span) / 2
        bits += "1" if value >= half else "0"
        span[0 if value >= half else 1] = half
    digits = [int(bits[start : start + 5], 2) for start in range(0, len(bits), 5)]
    return "".join("0123456789bcdefghjkmnpqrstuvwxyz"[digit] for digit in digits)


class TestAggregations:
    @settings(max_examples=20)
    @given(st.none() | boxes, st.sampled_from([None, "score > 0", "CASEI(title) = 'beta' OR simulated = TRUE"]))
    def test_against_brute_force(self, backend: SearchBackend, box: Any, text: str | None) -> None:
        asked = Query(
            boxes=() if box is None else parse_bbox(list(box)),
            filter=None if text is None else parse_filter(text, "cql2-text"),
            limit=1,
        )
        chosen = set(names(backend, asked))
        items = [item for item in ITEMS if item["id"] in chosen]
        wanted = [
            Aggregation("count"), Aggregation("first"), Aggregation("last"), Aggregation("terms", "collection"),
            Aggregation("terms", "score"), Aggregation("terms", "simulated"), Aggregation("terms", "nothing"),
            Aggregation("periods", interval="year"), Aggregation("periods", interval="month"),
            Aggregation("cells", precision=2), Aggregation("cells", precision=5),
        ]  # fmt: skip

        def frequent(values: list[Any]) -> tuple[tuple[Any, int], ...]:
            return tuple(sorted(Counter(values).items(), key=lambda each: (-each[1], each[0])))

        def began(pattern: str) -> tuple[tuple[int, int], ...]:
            days = [datetime.fromtimestamp(time_of(i, "start"), UTC).strftime(pattern) for i in items]
            stamps = [round(datetime.fromisoformat(f"{day}T00:00:00Z").timestamp() * 1e6) for day in days]
            return tuple(sorted(Counter(stamps).items()))

        def placed(precision: int) -> tuple[tuple[str, int], ...]:
            return tuple(sorted(Counter(by_bisection(*middle(i), precision) for i in items).items()))

        found = [item["properties"] for item in items]
        assert backend.aggregate(asked, wanted) == [
            len(items),
            min((round(time_of(item, "start") * 1e6) for item in items), default=None),
            max((round(time_of(item, "end") * 1e6) for item in items), default=None),
            frequent([item["collection"] for item in items]),
            frequent([each["score"] for each in found if "score" in each]),
            frequent([each["simulated"] for each in found]),
            (),
            began("%Y-01-01"),
            began("%Y-%m-01"),
            placed(2),
            placed(5),
        ]

    @pytest.mark.parametrize("name", ["ezs42", "u4pru", "0", "zzzzzz", "s"])
    def test_geohash_of_a_cell(self, name: str) -> None:
        found = {
            geohash(x, y, 1) for x in range(columns_and_rows(1)[0]) for y in range(columns_and_rows(1)[1])
        }  # fmt: skip
        assert len(found) == 32
        columns, rows = columns_and_rows(len(name))
        x, y = {"ezs42": (-5.603, 42.605), "u4pru": (10.40744, 57.64911), "0": (-180, -90), "zzzzzz": (180, 90),
                "s": (1, 1)}[name]  # fmt: skip
        column, row = min(int((x + 180) / 360 * columns), columns - 1), min(int((y + 90) / 180 * rows), rows - 1)
        assert geohash(column, row, len(name)) == name


class TestDocuments:
    def test_items_and_collections_by_name(self, backend: SearchBackend) -> None:
        for item in ITEMS[:10]:
            text = backend.item(item["collection"], item["id"])
            assert text is not None
            document = json.loads(text)
            assert document["properties"] == item["properties"]
            assert document["geometry"] == item["geometry"]
            assert document["bbox"] == item["bbox"]
            assert text in backend.search(Query(ids=(item["id"],))).items
        assert backend.item("c0", "none") is None
        assert backend.item("c1", ITEMS[0]["id"]) is None  # it is of c0
        assert backend.collection("none") is None
        assert backend.names("c1") == sorted(item["id"] for item in ITEMS if item["collection"] == "c1")
        assert backend.names("none") == []
        assert list(backend.collections()) == ["c0", "c1", "c2"]
        assert backend.titles() == {name: f"Collection {name}" for name in ("c0", "c1", "c2")}
        for name, text in backend.collections().items():
            assert backend.collection(name) == text
            assert json.loads(text)["id"] == name

    def test_properties(self, backend: SearchBackend) -> None:
        found = backend.properties()
        assert found["score"].kinds == {"n"}
        assert found["simulated"].kinds == {"b"}
        assert found["title"].values == ("Alpha", "Gamma % ray", "beta", "delta_*")
        assert found["created"].kinds == {"s", "t"}
        assert "j" in found["keywords"].kinds
        assert found["cup4soil:algorithm.name"].values == ("forest", "scmap")
        assert set(backend.properties("c1")) <= set(found)
        assert backend.properties("none") == {}

    def test_hidden_collections_are_as_if_not_there(self, backend: SearchBackend) -> None:
        item = ITEMS[0]
        before = HIDDEN.set(frozenset({"c0"}))
        try:
            assert backend.item("c0", item["id"]) is None
            assert backend.names("c0") == []
            assert backend.aggregate(Query(), [Aggregation("terms", "collection")]) == [
                tuple((name, sum(each["collection"] == name for each in ITEMS)) for name in ("c1", "c2"))
            ]
            assert backend.collection("c0") is None
            assert set(backend.titles()) == set(backend.collections()) == {"c1", "c2"}
            assert backend.search(Query(ids=(item["id"],))).items == ()
            assert backend.search(Query()).matched == sum(each["collection"] != "c0" for each in ITEMS)
            assert backend.properties("c0") == {}
        finally:
            HIDDEN.reset(before)

    def test_free_text(self, backend: SearchBackend) -> None:
        keyword = {item["id"] for item in ITEMS if "clay" in item["properties"]["keywords"]}
        assert set(names(backend, Query(terms=("clay",), limit=100))) == keyword
        titled = {item["id"] for item in ITEMS if item["properties"]["title"] in ("beta", "Gamma % ray")}
        assert set(names(backend, Query(terms=("bet", "gamma % r"), limit=100))) == titled
        assert names(backend, Query(terms=("eta",))) == []


class TestFollowing:
    def test_catalog_is_followed(self, opened: Opened, tmp_path: Path) -> None:
        catalogs.write(tmp_path, ITEMS[:6])
        with opened(tmp_path) as backend:
            backend.sync()
            assert backend.is_current()
            assert set(names(backend, Query())) == set(ids(ITEMS[:6]))
            changed = ITEMS[1] | {"properties": ITEMS[1]["properties"] | {"title": "Another"}}
            (tmp_path / "catalog" / changed["collection"] / changed["id"] / f"{changed['id']}.json").unlink()
            catalogs.write(tmp_path, [changed, *ITEMS[2:9]])
            assert not backend.is_current()
            assert set(names(backend, Query())) == set(ids(ITEMS[1:9]))
            assert names(backend, filtered("title = 'Another'")) == [changed["id"]]
            assert backend.is_current()

    def test_empty_store(self, opened: Opened, tmp_path: Path) -> None:
        catalogs.write(tmp_path, [])
        with opened(tmp_path) as backend:
            assert backend.search(Query()).matched == 0
            assert backend.collections() == backend.titles() == backend.properties() == {}
