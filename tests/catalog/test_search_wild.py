"""The contract of search backends on items with whatever values: each answers as brute force does."""

import json
import random
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stac_catalog.search_backend import SearchBackend
from stac_catalog.search_filter import parse_filter
from stac_catalog.search_query import Query, SortField
from tests.catalog import catalogs
from tests.catalog.backends import BACKENDS
from tests.catalog.catalogs import Item
from tests.catalog.searching import names

# Names that look like paths, quotes, placeholders; values of every kind under the same name.
_NAMES: Final = [
    "a", "a.b", "it's", 'say "x"', "per%s", "what?", "größe", "cup4soil:b.c", "score", "x.y.z",
]  # fmt: skip
_VALUES: Final = [
    0, 1, -1, 2, 2.5, -0.25, 1e15, 123456789012, 0.1, True, False, "", "a", "A", "b", "a b", "it's", "100%", "a_c",
    "abc", "a\\c", "ä", "z", "Ż", "😀", "?", "%s", "1", "true", "2020-01-01T00:00:00Z", None, [], ["a"], [1, "a"],
    {}, {"b": 1}, {"b": "a", "c": None}, {"c": 2.5}, {"y.z": "a"}, {"b": {"deep": 1}},
]  # fmt: skip
_PATTERNS: Final = ["a%", "%", "_", "", "%c", "a\\_c", "a\\\\c", "100\\%", "%'%", "a\\", "[a-z]*", "?"]
_LITERALS: Final = [value for value in _VALUES if isinstance(value, str | int | float)]
_OPERATORS: Final = ["=", "<>", "<", "<=", ">", ">="]


def wild(count: int = 60) -> list[Item]:
    rng = random.Random(7)
    return [_wild(item, rng) for item in catalogs.items(count)]


def _wild(item: Item, rng: random.Random) -> Item:
    drawn = {name: rng.choice(_VALUES) for name in rng.sample(_NAMES, 5)}
    return item | {"properties": item["properties"] | {"score": rng.choice(_VALUES)} | drawn}


WILD: Final = wild()


@pytest.fixture(scope="module", params=list(BACKENDS))
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchBackend]:
    root = tmp_path_factory.mktemp("wild")
    catalogs.write(root, WILD)
    with BACKENDS[request.param](root) as made:
        yield made


def value_of(item: Item, name: str) -> Any:
    """A property, or with a dot in its name the member of one; None where there is none."""
    properties = item["properties"]
    if name in properties:
        return properties[name]
    for place, sign in enumerate(name):
        owner = properties.get(name[:place]) if sign == "." else None
        if isinstance(owner, dict) and name[place + 1 :] in owner:
            return owner[name[place + 1 :]]
    return None


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "b"
    return "n" if isinstance(value, int | float) else "s" if isinstance(value, str) else "j"


def holds(operator: str, left: Any, right: Any) -> bool | None:
    """A comparison; None where the kinds differ."""
    if kind(left) != kind(right) or left is None:
        return None
    return {"=": left == right, "<>": left != right, "<": left < right, "<=": left <= right,
            ">": left > right, ">=": left >= right}[operator]  # fmt: skip


def like(text: str, pattern: str) -> bool:
    """LIKE by its definition, one sign after the other."""
    if not pattern:
        return not text
    first, rest = pattern[0], pattern[1:]
    if first == "%":
        return any(like(text[start:], rest) for start in range(len(text) + 1))
    if first == "\\" and rest:
        first, rest, literal = rest[0], rest[1:], True
    else:
        literal = first != "_"
    return bool(text) and (not literal or text[0] == first) and like(text[1:], rest)


def found(backend: SearchBackend, tree: Any) -> set[str]:
    return set(names(backend, Query(filter=parse_filter(tree, "cql2-json"), limit=100)))


WITHOUT_DOTS = st.sampled_from([name for name in _NAMES if "." not in name])
QUIET = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUIET
@given(st.sampled_from(_NAMES), st.sampled_from(_OPERATORS), st.sampled_from(_LITERALS), st.booleans())
def test_comparisons(backend: SearchBackend, name: str, operator: str, value: Any, negated: bool) -> None:
    tree: Any = {"op": operator, "args": [{"property": name}, value]}
    wanted = {i["id"] for i in WILD if holds(operator, value_of(i, name), value) is (not negated)}
    assert found(backend, {"op": "not", "args": [tree]} if negated else tree) == wanted


@QUIET
@given(st.sampled_from(_NAMES), st.lists(st.sampled_from(_LITERALS), min_size=1, max_size=4), st.booleans())
def test_lists(backend: SearchBackend, name: str, values: list[Any], negated: bool) -> None:
    tree: Any = {"op": "in", "args": [{"property": name}, values]}
    known = [(i["id"], value_of(i, name)) for i in WILD]
    among = {i for i, value in known if any(holds("=", value, each) for each in values)}
    outside = {i for i, value in known if kind(value) != "j"} - among
    assert found(backend, {"op": "not", "args": [tree]} if negated else tree) == (outside if negated else among)


@QUIET
@given(st.sampled_from(_NAMES), st.sampled_from(_PATTERNS), st.booleans())
def test_patterns(backend: SearchBackend, name: str, pattern: str, negated: bool) -> None:
    tree: Any = {"op": "like", "args": [{"property": name}, pattern]}
    texts = [(i["id"], value_of(i, name)) for i in WILD if kind(value_of(i, name)) == "s"]
    wanted = {i for i, text in texts if like(text, pattern) != negated}
    assert found(backend, {"op": "not", "args": [tree]} if negated else tree) == wanted


@pytest.mark.parametrize("name", _NAMES)
def test_presence(backend: SearchBackend, name: str) -> None:
    lacking = {i["id"] for i in WILD if value_of(i, name) is None}
    tree: Any = {"op": "isNull", "args": [{"property": name}]}
    assert found(backend, tree) == lacking
    assert found(backend, {"op": "not", "args": [tree]}) == {i["id"] for i in WILD} - lacking


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("limit", [7, 100])
@pytest.mark.parametrize("name", ["a", "score", "größe", "a.b"])
def test_order(backend: SearchBackend, name: str, limit: int, descending: bool) -> None:
    """Numbers and booleans before text, text by its code points, what has no such value last."""

    def key(item: Item) -> tuple[Any, ...]:
        value = value_of(item, name)
        return (isinstance(value, str), 0 if isinstance(value, str) else value, value if isinstance(value, str) else "")

    by_id = sorted(WILD, key=lambda i: (i["collection"], i["id"]))
    valued = sorted((i for i in by_id if kind(value_of(i, name)) != "j"), key=key)
    if descending:
        groups: dict[Any, list[Item]] = {}
        for item in valued:
            groups.setdefault(key(item), []).append(item)
        valued = [item for each in reversed(groups.values()) for item in each]
    wanted = [*valued, *(i for i in by_id if kind(value_of(i, name)) == "j")]
    assert names(backend, Query(sort=(SortField(name, descending),), limit=limit)) == [i["id"] for i in wanted]


def test_documents_are_whole(backend: SearchBackend) -> None:
    for item in WILD:
        assert json.loads(backend.item(item["collection"], item["id"]) or "")["properties"] == item["properties"]


def test_properties(backend: SearchBackend) -> None:
    told = backend.properties()
    for name in {name for item in WILD for name in item["properties"]}:
        kinds = {kind(item["properties"].get(name)) for item in WILD if item["properties"].get(name) is not None}
        assert not kinds or told[name].kinds - {"t"} == kinds
