"""Values that clients send to the search: what is read from them, and what is refused."""

from collections.abc import Callable
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cup4soil.errors import InvalidInput
from stac_catalog.search_query import (
    parse_geometry,
    parse_limit,
    parse_names,
    parse_period,
    parse_sort,
)
from stac_catalog.search_values import Box, parse_bbox, parse_instant


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
