"""Reading filters, and what only the embedded search index does."""

import json
import time
from pathlib import Path

import pytest

from cup4soil.errors import InvalidInput, LimitExceeded
from stac_catalog import search_answers, search_where
from stac_catalog.search import INDEX_FILE, SearchIndex
from stac_catalog.search_filter import parse_filter
from stac_catalog.search_probes import property_probe
from stac_catalog.search_query import Query
from tests.catalog import catalogs
from tests.catalog.searching import ITEMS, filtered, ids, names


class TestFilter:
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


class TestIndex:
    def test_patterns_take_no_time(self, tmp_path: Path) -> None:
        catalogs.write(tmp_path, ITEMS)
        index = SearchIndex(tmp_path / INDEX_FILE)
        index.sync()
        begin = time.process_time()
        names(index, filtered(f"title LIKE '{'%a' * 2000}'"))
        assert time.process_time() - begin < 1
        index.close()

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
            index.search(Query(filter=parse_filter(slow, "cql2-text"), limit=1000))
        index.close()

    def test_what_is_asked_in_python_is_given_up_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        catalogs.write(tmp_path, catalogs.items(400))
        index = SearchIndex(tmp_path / INDEX_FILE, seconds=0.3)
        index.sync()
        asked: list[str] = []

        def slow(text: str) -> bool:
            asked.append(text)
            time.sleep(0.02)
            return False

        monkeypatch.setattr(search_answers, "ASKED_AT_ONCE", 10)
        monkeypatch.setattr(search_where, "probe_of", lambda _: property_probe("slow", slow))
        with pytest.raises(LimitExceeded, match="took longer"):
            index.search(Query(terms=("x",)))
        assert len(asked) < 200
        index.close()

    def test_many_truths_are_one(self, tmp_path: Path) -> None:
        catalogs.write(tmp_path, ITEMS)
        index = SearchIndex(tmp_path / INDEX_FILE)
        tree = parse_filter({"op": "or", "args": [True] * 1500}, "cql2-json")
        assert len(names(index, Query(filter=tree))) == len(ITEMS)
        index.close()

    def test_text_that_is_none_is_refused(self) -> None:
        with pytest.raises(InvalidInput):
            parse_filter("title = '\ud800'", "cql2-text")
