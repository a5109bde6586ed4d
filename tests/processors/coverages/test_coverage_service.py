"""A running server, asked by real clients and by nonsense."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.coverage_query import PARAMETERS
from tests.processors.coverages import worlds
from tests.processors.coverages.conftest import COLLECTION, LEFT, TOP, World

_COVERAGE = f"/ogc/collections/{COLLECTION}/coverage"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "image/tiff"),
        ("*/*", "image/tiff"),
        ("application/json", "application/prs.coverage+json"),
        ("application/prs.coverage+json;q=0.4, image/tiff;q=0.5", "image/tiff"),
        ("image/tiff;q=0, application/vnd.cov+json", "application/prs.coverage+json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("image/tiff; application=geotiff; profile=cloud-optimized", "image/tiff"),
    ],
)
def test_the_format_is_negotiated(server: str, accept: str | None, kind: str) -> None:
    headers = {} if accept is None else {"Accept": accept}
    answer = httpx.get(f"{server}{_COVERAGE}?scale-factor=20", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == kind
    assert "Accept" in answer.headers["vary"].split(", ")


def test_an_answer_says_where_it_lies(server: str) -> None:
    answer = httpx.get(f"{server}{_COVERAGE}?subset=E({LEFT}:{LEFT + 400}),N({TOP - 200}:{TOP})&properties=mean")
    assert answer.headers["content-crs"] == "<http://www.opengis.net/def/crs/EPSG/0/3035>"
    # Northing first, as the CRS has it.
    assert answer.headers["content-bbox"] == f"{TOP - 200},{LEFT},{TOP},{LEFT + 400}"
    assert answer.headers["content-datetime"].startswith("2022-01-03")


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("bbox=1,2,3,4", 404, "24.7"),
        ("datetime=1990", 404, "2022-01-03/2022-12-28"),
        ("bbox=1,2,3", 400, "bbox"),
        ("f=bmp", 400, "GTiff"),
        ("speed=fast", 400, "speed"),
        ("properties=q42", 400, "mean, q95, aoa"),
        ("scale-factor=0.1", 413, "4000000"),
        ("f=json&bbox=-180,-90,180,90", 413, "50000"),
    ],
)
def test_refusals_say_what_was_wrong(server: str, query: str, status: int, said: str) -> None:
    answer = httpx.get(f"{server}{_COVERAGE}?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert said in answer.json()["detail"]


@pytest.mark.parametrize("name", ["nothing", "..", "%2e%2e%2fstore.json", "models"])
def test_other_collections_are_not_found(server: str, name: str) -> None:
    assert httpx.get(f"{server}/ogc/collections/{name}/coverage").status_code == 404


def test_descriptions_take_no_subset(server: str) -> None:
    for name in ("domainset", "rangetype", "schema"):
        assert httpx.get(f"{server}{_COVERAGE}/{name}?f=json&datetime=2020").status_code == 200
        assert httpx.get(f"{server}{_COVERAGE}/{name}?bbox=1,2,3,4").status_code == 400


def test_head_sends_no_body(server: str) -> None:
    answer = httpx.head(f"{server}{_COVERAGE}?scale-factor=50&properties=mean")
    assert (answer.status_code, answer.content) == (200, b"")
    assert httpx.post(f"{server}{_COVERAGE}").status_code == 405


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30) as client:
        yield client


_NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True), st.integers(-(10**7), 10**7), st.sampled_from(["*", "", "..", "a"])
).map(str)
_TEXT = st.one_of(
    st.text(max_size=20),
    st.lists(_NUMBERS, min_size=1, max_size=5).map(",".join),
    st.builds(lambda a, b, c, d: f"E({a}:{b}),N({c}:{d})", _NUMBERS, _NUMBERS, _NUMBERS, _NUMBERS),
    st.builds(lambda a, b: f"Lat({a}),Lon({b})", _NUMBERS, _NUMBERS),
    st.sampled_from(["EPSG:3035", "EPSG:4326", "EPSG:2193", "CRS84", "mean", "1,2", "GTiff", "json", "COG", "2022/.."]),
    st.floats(20, 62).flatmap(lambda v: st.just(f"{v},{v + 40},{v + 3},{v + 43}")),
)


@settings(max_examples=120)
@given(st.lists(st.tuples(st.sampled_from([*PARAMETERS, "lang", "limit"]), _TEXT), min_size=1, max_size=4))
def test_nonsense_is_never_the_servers_fault(server: str, client: httpx.Client, pairs: list[tuple[str, str]]) -> None:
    answer = client.get(f"{server}{_COVERAGE}?{urlencode(pairs, errors='replace')}")
    assert answer.status_code in (200, 400, 404, 413)


def test_a_product_may_be_registered_while_the_server_runs(tmp_path: Path, world: World, server: str) -> None:
    grid = worlds.european(LEFT, TOP, 20, 20)
    folder = tmp_path / "new"
    record = worlds.product(folder, grid, np.full((20, 20), 77, np.int16), collection="clay-0-20cm")
    address = f"{server}/ogc/collections/clay-0-20cm"
    assert httpx.get(address).status_code == 404
    target = world.store.register(record, folder)
    try:
        assert httpx.get(address).json()["id"] == "clay-0-20cm"
        assert httpx.get(f"{address}/coverage").status_code == 200
    finally:
        shutil.rmtree(target)
        world.store.rebuild()
    assert httpx.get(address).status_code == 404
    assert httpx.get(f"{address}/coverage").status_code == 404
