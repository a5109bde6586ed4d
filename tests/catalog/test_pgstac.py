"""The backend in a pgstac database: what others find there, and what befalls servers and databases."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cup4soil.errors import InvalidInput, LimitExceeded, StoreError
from stac_catalog.pgstac import PgstacIndex
from stac_catalog.search_backend import Unreachable
from stac_catalog.search_query import Query, parse_period
from stac_catalog.search_values import parse_bbox
from tests import postgis
from tests.catalog import catalogs
from tests.catalog.searching import ITEMS, filtered, ids, names

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    catalogs.write(tmp_path, ITEMS[:6])
    return tmp_path


@pytest.fixture
def address() -> Iterator[str]:
    with postgis.new_database() as made:
        yield made


def told(address: str, sql: str, *parameters: Any) -> Any:
    """What the database says to another program."""
    with psycopg.connect(address, autocommit=True, options="-c search_path=pgstac,public") as db:
        cursor = db.execute(sql.encode(), parameters or None)
        return cursor.fetchone()[0] if cursor.description else None


class TestForOtherPrograms:
    def test_pgstac_finds_and_tells_the_same(self, tmp_path: Path, address: str) -> None:
        catalogs.write(tmp_path, ITEMS)
        index = PgstacIndex(tmp_path, address)
        index.sync()
        searches: list[tuple[dict[str, Any], Query]] = [
            ({}, Query(limit=100)),
            ({"collections": ["c1"]}, Query(collections=("c1",), limit=100)),
            ({"bbox": [-60, -50, 120, 60]}, Query(boxes=parse_bbox("-60,-50,120,60"), limit=100)),
            ({"ids": ids(ITEMS[:3])}, Query(ids=tuple(ids(ITEMS[:3])), limit=100)),
            (
                {"datetime": "2018-01-01T00:00:00Z/2019-06-01T00:00:00Z"},
                Query(period=parse_period("2018-01-01T00:00:00Z/2019-06-01T00:00:00Z"), limit=100),
            ),
            (
                {"filter-lang": "cql2-json", "filter": {"op": "=", "args": [{"property": "title"}, "beta"]}},
                filtered("title = 'beta'"),
            ),
        ]
        for asked, query in searches:
            found = told(address, "SELECT search(%s::jsonb)", json.dumps(asked | {"limit": 100}))
            assert {item["id"] for item in found["features"]} == set(names(index, query)), asked
        for item in ITEMS[:5]:
            whole = told(address, "SELECT get_item(%s, %s)", item["id"], item["collection"])
            ours = json.loads(index.item(item["collection"], item["id"]) or "")
            # pgstac keeps no null.
            own = {name: value for name, value in ours["properties"].items() if value is not None}
            assert whole == ours | {"properties": own}
        index.close()

    def test_empty_database_gets_pgstac(self, root: Path) -> None:
        with postgis.new_database(empty=True) as address:
            index = PgstacIndex(root, address)
            assert set(names(index, Query())) == set(ids(ITEMS[:6]))
            index.close()
            assert told(address, "SELECT get_version()")


class TestDatabases:
    def test_database_of_others_is_left_alone(self, root: Path, address: str) -> None:
        told(address, "SELECT create_collection(%s::jsonb)", json.dumps(_collection("theirs")))
        index = PgstacIndex(root, address)
        with pytest.raises(StoreError, match="collections of others, such as theirs"):
            index.search(Query())
        assert told(address, "SELECT count(*) FROM collections") == 1
        index.close()

    def test_database_of_another_store_is_left_alone(self, root: Path, address: str, tmp_path: Path) -> None:
        first = PgstacIndex(root, address)
        assert first.search(Query()).matched == 6
        catalogs.write(tmp_path / "other", ITEMS[6:8])
        other = PgstacIndex(tmp_path / "other", address)
        with pytest.raises(StoreError, match="that of another store"):
            other.search(Query())
        assert first.search(Query()).matched == 6
        first.close()

    def test_later_version_is_left_alone(self, root: Path, address: str) -> None:
        told(address, "INSERT INTO migrations (version, datetime) VALUES (%s, now() + interval '1 day')", "99.0.0")
        index = PgstacIndex(root, address)
        with pytest.raises(StoreError, match="cannot be installed or brought up to date"):
            index.search(Query())

    def test_what_was_lost_is_made_anew(self, root: Path, address: str) -> None:
        index = PgstacIndex(root, address)
        assert index.search(Query()).matched == 6
        told(address, "DROP SCHEMA pgstac CASCADE; DROP SCHEMA cup4soil CASCADE")
        assert set(names(index, Query())) == set(ids(ITEMS[:6]))
        index.close()

    def test_what_others_changed_is_brought_back(self, root: Path, address: str) -> None:
        """A database restored from an older copy says so, though the catalog has not changed."""
        index = PgstacIndex(root, address)
        assert index.search(Query()).matched == 6
        told(address, "DELETE FROM items; UPDATE collections SET private = NULL; DELETE FROM cup4soil.search_state")
        assert set(names(index, Query())) == set(ids(ITEMS[:6]))
        index.close()

    @pytest.mark.parametrize("address", ["postgresql://user@host/name?nothing=1", "postgresql://[host/name"])
    def test_what_is_no_address_is_refused(self, root: Path, address: str) -> None:
        with pytest.raises(InvalidInput, match="write postgresql://"):
            PgstacIndex(root, address)


class TestServers:
    def test_server_that_is_away_tells_no_password_and_may_come_back(self, root: Path, address: str) -> None:
        away = PgstacIndex(root, "postgresql://reader:hush@127.0.0.1:1/search")
        with pytest.raises(Unreachable, match="cannot be reached") as refused:
            away.search(Query())
        assert "hush" not in str(refused.value)
        index = PgstacIndex(root, address)
        assert index.search(Query()).matched == 6
        name = address.rpartition("/")[2]
        told(postgis.server(), f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        told(postgis.server(), "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s", name)
        with pytest.raises(Unreachable):
            index.search(Query())
        told(postgis.server(), f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert index.search(Query()).matched == 6
        index.close()

    def test_connections_that_were_dropped_are_made_anew(self, root: Path, address: str) -> None:
        index = PgstacIndex(root, address)
        assert index.search(Query()).matched == 6
        name = address.rpartition("/")[2]
        told(postgis.server(), "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s", name)
        assert index.search(Query()).matched == 6
        index.close()

    def test_search_that_takes_too_long_is_given_up(self, root: Path, address: str) -> None:
        index = PgstacIndex(root, address, seconds=0.000_001)
        index.sync()
        with pytest.raises(LimitExceeded, match="took longer"):
            index.search(filtered("CASEI(title) <> CASEI('x')"))
        index.close()

    def test_text_that_the_database_cannot_hold(self, root: Path, address: str) -> None:
        index = PgstacIndex(root, address)
        assert index.item("c0", "a\0b") is None
        with pytest.raises(InvalidInput, match="a value that no item can have"):
            index.search(Query(ids=("a\0b",)))
        assert index.search(Query()).matched == 6
        index.close()


class TestManyAtOnce:
    def test_one_at_a_time_follows_the_catalog(self, tmp_path: Path, address: str) -> None:
        catalogs.write(tmp_path, ITEMS[:20])
        indexes = [PgstacIndex(tmp_path, address) for _ in range(3)]
        with ThreadPoolExecutor(6) as pool:
            for count in (20, 40):
                catalogs.write(tmp_path, ITEMS[:count])
                looks = [pool.submit(names, index, Query(limit=100)) for index in indexes * 2]
                assert all(set(look.result()) == set(ids(ITEMS[:count])) for look in looks)
        for index in indexes:
            index.close()

    def test_process_that_is_killed_leaves_no_half(self, tmp_path: Path, address: str) -> None:
        catalogs.write(tmp_path, catalogs.items(200))
        code = (
            "import sys; from pathlib import Path; from stac_catalog.pgstac import PgstacIndex;"
            "print('ready', flush=True); PgstacIndex(Path(sys.argv[1]), sys.argv[2]).sync()"
        )
        command = [sys.executable, "-c", code, str(tmp_path), address]
        with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as doomed:
            assert doomed.stdout is not None
            assert doomed.stdout.readline() == "ready\n"
            while doomed.poll() is None and not told(address, _BEGUN):
                time.sleep(0.05)
            doomed.send_signal(signal.SIGKILL)
        assert told(address, "SELECT count(*) FROM items") in (0, 200)
        index = PgstacIndex(tmp_path, address)
        assert index.search(Query()).matched == 200
        index.close()


# Whether a process writes to the database.
_BEGUN = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"


def _collection(name: str) -> dict[str, Any]:
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
    return {"type": "Collection", "stac_version": "1.1.0", "id": name, "description": "Theirs.", "license": "other",
            "extent": extent, "links": []}  # fmt: skip
