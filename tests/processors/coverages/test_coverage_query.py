"""Parameters are read as the draft has them, and refused by name."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cup4soil.errors import InvalidInput
from cup4soil.grids import Bounds
from processors.coverage_query import PARAMETERS, parse_query
from processors.coverage_scaling import Scaling
from processors.crs import parse_reference
from processors.times import parse_interval


@pytest.mark.parametrize(
    "text",
    [
        "EPSG:3035",
        "[EPSG:3035]",
        "http://www.opengis.net/def/crs/EPSG/0/3035",
        "https://www.opengis.net/def/crs/EPSG/9.9.1/3035",
        "urn:ogc:def:crs:EPSG::3035",
    ],
)
def test_all_spellings_of_a_crs_mean_the_same(text: str) -> None:
    reference = parse_reference(text, "crs")
    assert (reference.crs.epsg, reference.y_first) == (3035, True)


@pytest.mark.parametrize("text", ["CRS84", "OGC:CRS84", "http://www.opengis.net/def/crs/OGC/1.3/CRS84"])
def test_crs84_is_longitude_first(text: str) -> None:
    assert parse_reference(text, "crs").y_first is False


@pytest.mark.parametrize(
    "text",
    ["3035", "EPSG:0", "EPSG:999999", "EPSG:5773", "EPSG:4978", "EPSG:4979", "+proj=utm +zone=33", "/etc/passwd", ""],
)
def test_anything_else_is_no_crs(text: str) -> None:
    with pytest.raises(InvalidInput, match="crs"):
        parse_reference(text, "crs")


def test_the_axis_order_of_the_crs_counts() -> None:
    query = parse_query([("bbox", "4800000,5000000,4801000,5002000"), ("bbox-crs", "EPSG:3035")])
    assert query.bbox == Bounds(5_000_000, 4_800_000, 5_002_000, 4_801_000)
    query = parse_query([("bbox", "25,61,26,62")])
    assert query.bbox == Bounds(25, 61, 26, 62)
    query = parse_query([("bbox", "61,25,62,26"), ("bbox-crs", "EPSG:4326")])
    assert query.bbox == Bounds(25, 61, 26, 62)


def test_subset_of_several_axes() -> None:
    query = parse_query([("subset", 'E(1:2),N(*:4),time("2020-01-01":"2020-02-01")')])
    assert (query.x, query.y, query.subset_crs) == ((1, 2), (None, 4), None)
    assert query.when is not None
    assert query.when.start == datetime(2020, 1, 1, tzinfo=UTC)
    repeated = parse_query([("subset", "Lat(61:62)"), ("subset", "Lon(25)")])
    assert (repeated.x, repeated.y) == ((25, 25), (61, 62))
    assert repeated.subset_crs is not None


def test_scaling() -> None:
    assert parse_query([("scale-factor", "2")]).scaling == Scaling(factor_x=2, factor_y=2)
    assert parse_query([("scale-axes", "N(3)")]).scaling == Scaling(factor_y=3)
    assert parse_query([("scale-size", "E(10),N(20)")]).scaling == Scaling(columns=10, rows=20)
    assert parse_query([("scaleSize", "Lon(10),Lat(20)")]).scaling == Scaling(columns=10, rows=20)
    assert parse_query([("width", "10")]).scaling == Scaling(columns=10)
    assert parse_query([("resolution", "E(40),N()")]).scaling == Scaling(step_x=40)
    assert parse_query([("resolution", "")]).scaling == Scaling()


def test_longitudes_that_fall_reach_across_the_antimeridian() -> None:
    assert parse_query([("bbox", "170,10,-170,20")]).bbox == Bounds(170, 10, 190, 20)
    assert parse_query([("bbox", "10,170,20,-170"), ("bbox-crs", "EPSG:4326")]).bbox == Bounds(170, 10, 190, 20)
    assert parse_query([("subset", "Lon(170:-170)")]).x == (170, 190)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2020", "2020-01-01T00:00:00", "2020-12-31T23:59:59.999999"),
        ("2020-02", "2020-02-01T00:00:00", "2020-02-29T23:59:59.999999"),
        ("2020-02-03", "2020-02-03T00:00:00", "2020-02-03T23:59:59.999999"),
        ("2020-02-03T04:05:06Z/..", "2020-02-03T04:05:06", None),
        ("../2020-02-03T04:05:06+02:00", None, "2020-02-03T02:05:06.999999"),
        ("2020-02-03T04:05Z", "2020-02-03T04:05:00", "2020-02-03T04:05:59.999999"),
        ("2020-02-02T24:00Z/2020-02-03T24:00Z", "2020-02-02T23:59:59.999999", "2020-02-03T23:59:59.999999"),
        ("2020-02-03T04:05:06.25Z", "2020-02-03T04:05:06.250000", "2020-02-03T04:05:06.259999"),
        ("2020-02-03T04:05:06.123456Z", "2020-02-03T04:05:06.123456", "2020-02-03T04:05:06.123456"),
        ("2020-02-03T04:05:06.123456789Z", "2020-02-03T04:05:06.123456", "2020-02-03T04:05:06.123456"),
        ("../..", None, None),
        ("/2020", None, "2020-12-31T23:59:59.999999"),
    ],
)
def test_dates_stand_for_their_whole_span(text: str, start: str | None, end: str | None) -> None:
    interval = parse_interval(text, "datetime")
    expected = [None if each is None else datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (start, end)]
    assert [interval.start, interval.end] == expected


@pytest.mark.parametrize(
    ("pairs", "named"),
    [
        ([("bbox", "1,2,3")], "bbox"),
        ([("bbox", "1,2,3,4,5")], "bbox"),
        ([("bbox", "1,4,3,2")], "bbox"),
        ([("bbox", "3,2,1,4"), ("bbox-crs", "EPSG:3035")], "bbox"),
        ([("bbox", "1,nan,3,4")], "bbox"),
        ([("bbox", "a,b,c,d")], "bbox"),
        ([("bbox", "")], "bbox"),
        ([("bbox-crs", "moon")], "bbox-crs"),
        ([("bbox", "1,2,3,4"), ("bbox-crs", "moon")], "bbox-crs"),
        ([("bbox", "1,2,3,4"), ("bbox", "1,2,3,4")], "bbox"),
        ([("subset", "E(1:2")], "subset"),
        ([("subset", "E(2:1)")], "subset"),
        ([("subset", "E(1:2:3)")], "subset"),
        ([("subset", "depth(1:2)")], "depth"),
        ([("subset", "E(1:2),x(1:2)")], "subset"),
        ([("subset", "E(1:2),Lat(1:2)")], "subset"),
        ([("subset", "time(1999-99-99)")], "subset"),
        ([("subset-crs", "moon")], "subset-crs"),
        ([("subset", "E(5)"), ("scale-factor", "2")], "scale"),
        ([("subset", "Lat(1:2)"), ("subset-crs", "EPSG:3035")], "subset-crs"),
        ([("bbox", "1,2,3,4"), ("subset", "E(1:2)")], "bbox"),
        ([("datetime", "2020"), ("subset", "time(2020)")], "datetime"),
        ([("datetime", "yesterday")], "datetime"),
        ([("datetime", "2021/2020")], "datetime"),
        ([("datetime", "/")], "datetime"),
        ([("datetime", "2020"), ("subset", "time(*)")], "datetime"),
        ([("datetime", "0000-01-01")], "datetime"),
        ([("datetime", "9999-12-31T23:59:59-10:00")], "datetime"),
        ([("properties", "a,,b")], "properties"),
        ([("properties", "a,a")], "properties"),
        ([("scale-factor", "0")], "scale-factor"),
        ([("scale-factor", "inf")], "scale-factor"),
        ([("scale-size", "E(0)")], "scale-size"),
        ([("scale-size", "E(1.5)")], "scale-size"),
        ([("scale-size", "time(3)")], "scale-size"),
        ([("scale-axes", "E(2),x(2)")], "scale-axes"),
        ([("scale-factor", "2"), ("scale-size", "E(2)")], "scale-factor"),
        ([("resolution", "E(20)"), ("width", "2")], "resolution"),
        ([("resolution", "E(0)")], "resolution"),
        ([("width", "0")], "width"),
        ([("properties", "a"), ("exclude-properties", "b")], "exclude-properties"),
        ([("crs", "EPSG:1")], "crs"),
        ([("href", "file:///etc/passwd")], "href"),
        ([("datetime", "2" * 5000)], "datetime"),
    ],
)
def test_what_is_wrong_is_named(pairs: list[tuple[str, str]], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        parse_query(pairs)


@given(st.lists(st.tuples(st.sampled_from(PARAMETERS), st.text(max_size=40)), max_size=4))
def test_any_text_is_read_or_refused(pairs: list[tuple[str, str]]) -> None:
    with contextlib.suppress(InvalidInput):
        assert parse_query(pairs)
