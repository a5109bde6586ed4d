"""Tables of samples: every way in which a row, a column or a file can be bad, and that no row gets lost."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput, InvalidSamples, NotFound
from cup4soil.grids import parse_crs
from cup4soil.properties import soil_property
from producers.samples import (
    SampleReport,
    SampleSpec,
    SampleTable,
    TargetSpec,
    check_enough,
    read_samples,
    texture_columns,
    without_gaps,
)

HEADER = "site,upper,lower,oc,x,y"


def good_rows(count: int = 40) -> list[str]:
    return [f"P{i:03d},0,20,{1 + i / 50:.3f},{500_000 + 100 * i},{5_800_000 + 50 * i}" for i in range(count)]


def spec_of(**changes: Any) -> SampleSpec:
    given = {
        "target": "oc", "property": soil_property("soc"), "unit": "%", "x": "x", "y": "y",
        "crs": parse_crs("EPSG:32633"), "id": "site", "upper": "upper", "lower": "lower", "depth": Depth(0, 20),
    } | changes  # fmt: skip
    target = TargetSpec(column=given.pop("target"), property=given.pop("property"), unit=given.pop("unit"))
    return SampleSpec(**({"targets": (target,)} | given))


def write(path: Path, rows: Sequence[str], header: str = HEADER, encoding: str = "utf-8") -> Path:
    path.write_bytes(("\n".join([header, *rows]) + "\n").encode(encoding))
    return path


def read(path: Path, rows: Sequence[str], header: str = HEADER, **changes: Any) -> tuple[SampleTable, SampleReport]:
    return read_samples(write(path / "samples.csv", rows, header), spec_of(**changes))


def assert_every_row_is_told(report: SampleReport) -> None:
    assert report.used_rows + report.outside_interval_rows + len(report.excluded) == report.rows
    assert sum(report.counts.values()) == len(report.excluded)


def test_good_rows_are_all_used_in_the_conventional_unit(tmp_path: Path) -> None:
    table, report = read(tmp_path, good_rows())
    np.testing.assert_allclose(table.value, [10 + i / 5 for i in range(40)])
    assert (report.rows, report.used_rows, report.samples, report.excluded) == (40, 40, 40, ())
    assert table.rows[0] == (2,)


@pytest.mark.parametrize(
    ("row", "code", "message"),
    [
        ("A,0,20,,500000,5800000", "missing-target", "no value in column oc"),
        ("A,0,20,NA,500000,5800000", "missing-target", "no value in column oc"),
        ("A,0,20,< LOD,500000,5800000", "below-detection", "oc is '< LOD', below what was detected"),
        ("A,0,20,<0.5,500000,5800000", "below-detection", "oc is '<0.5', below what was detected"),
        ("A,0,20,BDL,500000,5800000", "below-detection", "oc is 'BDL', below what was detected"),
        ("A,0,20,<b>,500000,5800000", "not-a-number", "oc is '<b>', no number"),
        ("A,0,20,> 50,500000,5800000", "not-a-number", "oc is '> 50', no number"),
        ("A,0,< 5,1.5,500000,5800000", "not-a-number", "lower is '< 5', no number"),
        ("A,0,20,inf,500000,5800000", "not-a-number", "oc is 'inf', no number"),
        ("A,0,20,1e999,500000,5800000", "not-a-number", "oc is '1e999', no number"),
        ('A,0,20,"1,5",500000,5800000', "not-a-number", "oc is '1,5', no number"),
        ("A,0,20,1.5,,5800000", "missing-coordinates", "no value in column x"),
        ("A,0,20,1.5,500000,n/a", "missing-coordinates", "no value in column y"),
        ("A,,20,1.5,500000,5800000", "missing-depth", "no value in column upper"),
        (",0,20,1.5,500000,5800000", "missing-id", "no profile in column site"),
        ("A,20,0,1.5,500000,5800000", "inverted-depth", "horizon 20-0 cm is upside down"),
        ("A,-5,20,1.5,500000,5800000", "negative-depth", "horizon -5-20 cm begins above the surface"),
        ("A,20,20,1.5,500000,5800000", "zero-thickness", "horizon 20-20 cm has no thickness"),
        ("A,0,2000,1.5,500000,5800000", "depth-too-large", "depths are in cm"),
        ("A,0,20,-1,500000,5800000", "out-of-range", "-1 % is outside 0 to 600 g/kg"),
        ("A,0,20,150,500000,5800000", "out-of-range", "it would be possible in g/kg or mg/kg or dg/kg"),
        ("A,0,20,1.5,13.4,52.5", "coordinates-outside", "look like degrees, but EPSG:32633 is not in degrees"),
        ("A,0,20,1.5,5800000,500000", "coordinates-outside", "x and y may be swapped"),
        ("A,0,20,1.5,9500000,5800000", "coordinates-outside", "lie outside the area of EPSG:32633"),
        ("A,0,20,1.5,500000", "ragged", "5 cells where the header has 6"),
        ("A,0,20,1.5,500000,5800000,extra", "ragged", "7 cells where the header has 6"),
        ("", "empty", "blank row"),
        (",,,,,", "empty", "blank row"),
    ],
)  # fmt: skip
def test_a_bad_row_is_excluded_with_its_number_and_reason(tmp_path: Path, row: str, code: str, message: str) -> None:
    rows = good_rows()
    rows.insert(10, row)
    table, report = read(tmp_path, rows)
    (excluded,) = report.excluded
    assert (excluded.row, excluded.code) == (12, code)
    assert message in excluded.message
    assert len(table) == 40
    assert_every_row_is_told(report)


@pytest.mark.parametrize(
    ("rows", "codes"),
    [
        (["A,0,20,1.5,500000,5800000"] * 3, {"duplicate": 2}),
        (["A,0,20,1.5,500000,5800000", "A,0,20,1.6,500000,5800000"], {"conflict": 2}),
        (["A,0,20,1.5,500000,5800000", "A,20,40,1.6,500900,5800000"], {"moved-profile": 2}),
        (["A,0,15,1.5,500000,5800000", "A,10,40,1.6,500000,5800000"], {"overlap": 2}),
        (["A,0,15,1.5,500000,5800000", "A,15,40,1.6,500000.4,5800000"], {}),
        (["A,16,40,1.5,500000,5800000"], {"partial-coverage": 1}),
        (["A,0,10,1.5,500000,5800000", "A,0,10,1.5,500000,5800000", "A,0,10,1.7,500000,5800000"],
         {"duplicate": 1, "conflict": 2}),
    ],
)  # fmt: skip
def test_rows_are_held_against_each_other(tmp_path: Path, rows: list[str], codes: dict[str, int]) -> None:
    table, report = read(tmp_path, good_rows() + rows)
    assert report.counts == codes
    assert {each.row for each in report.excluded} <= set(range(42, 45))
    assert_every_row_is_told(report)
    assert len(table) == 40 + ("A" in table.ids)


def test_horizons_become_one_value_weighted_by_thickness(tmp_path: Path) -> None:
    rows = ["A,0,5,4,500000,5800000", "A,5,30,2,500000,5800000", "A,30,60,9,500000,5800000"]
    table, report = read(tmp_path, good_rows() + rows)
    assert table.value[table.ids.index("A")] == pytest.approx(10 * (5 * 4 + 15 * 2) / 20)
    assert table.rows[table.ids.index("A")] == (42, 43)
    assert report.outside_interval_rows == 1
    assert_every_row_is_told(report)


def test_profiles_that_cover_part_of_the_interval_are_told(tmp_path: Path) -> None:
    table, report = read(tmp_path, [*good_rows(), "A,0,12,1.5,500000,5800000"])
    assert table.coverage[-1] == pytest.approx(0.6)
    assert report.warnings == (
        "1 profiles cover only part of 0-20cm; the mean of what they cover stands for the whole.",
    )


def test_more_than_half_bad_rows_are_said_loudly(tmp_path: Path) -> None:
    table, report = read(tmp_path, good_rows(40) + ["A,20,0,1.5,500000,5800000"] * 41)
    assert len(table) == 40
    assert report.warnings[0].startswith(
        "More than half of the rows cannot be used: 41 of 81. Reasons: 41 inverted-depth."
    )


def test_the_warning_comes_once_most_rows_have_no_covariates(tmp_path: Path) -> None:
    table, report = read(tmp_path, good_rows())
    covariates = np.ones((40, 1))
    covariates[:21] = np.nan
    assert report.warnings == ()
    _, _, told = without_gaps(table, report, covariates, ("dem",))
    (warning,) = told.warnings
    assert warning.startswith("More than half of the rows cannot be used: 21 of 40. Reasons: 21 no-covariates.")


def test_values_below_detection_bias_the_map_and_are_told(tmp_path: Path) -> None:
    rows = [f"Q{i},0,20,< LOD,{500_000 + i},5900000" for i in range(5)]
    _, report = read(tmp_path, good_rows() + rows)
    assert report.counts == {"below-detection": 5}
    (warning,) = report.warnings
    assert warning.startswith("5 rows are left out because their value is below the limit of detection")
    assert "the map tends to be too high" in warning


def soc_rows(percent: Sequence[float]) -> list[str]:
    return [f"P{i:03d},0,20,{value:.4f},{500_000 + 100 * i},5800000" for i, value in enumerate(percent)]


def test_a_tenfold_error_is_seen_before_the_impossible_rows_are_gone(tmp_path: Path) -> None:
    """Rows beyond 60 % leave; the median of the rest is that of an ordinary organic topsoil."""
    rows = soc_rows([10.0 * value for value in (0.8, 0.9, 1.0, 5.0, 8.0, 9.0, 10.0)] * 6)
    _, report = read(tmp_path, rows)
    assert report.counts["out-of-range"] == 18
    assert "The median of 50 % is unusual" in report.warnings[0]
    assert "g/kg" in report.warnings[0]


def test_impossible_rows_that_share_a_unit_are_told(tmp_path: Path) -> None:
    """Half the rows in another unit: the median is ordinary, the impossible rows are not chance."""
    _, report = read(tmp_path, soc_rows([1.5] * 30 + [75.0] * 12))
    assert report.warnings[0].startswith(
        "12 of 42 values are impossible for soil organic carbon in %, and would be possible in g/kg"
    )
    assert "Check the unit." in report.warnings[0]


@pytest.mark.parametrize("odd", [[75.0], [-1.0, -2.0, -3.0]])
def test_a_slip_or_negative_values_are_no_matter_of_units(tmp_path: Path, odd: list[float]) -> None:
    _, report = read(tmp_path, soc_rows([1.5] * 39 + odd))
    assert report.counts == {"out-of-range": len(odd)}
    assert report.warnings == ()


def test_the_real_profiles_tenfold_are_suspected(shared_data: Path, tmp_path: Path) -> None:
    lines = (shared_data / "cdsm-peterborough" / "Analytical.csv").read_text().splitlines()
    at = lines[0].split(",").index("OC")
    rows = [line.split(",") for line in lines[1:]]
    tenfold = [",".join([*row[:at], f"{10 * float(row[at]):.5f}", *row[at + 1 :]]) for row in rows]
    real = {"id": "SITE_ID", "upper": "UPPER", "lower": "LOWER", "crs": parse_crs("EPSG:26917")}
    _, report = read(tmp_path, tenfold, lines[0], target="OC", **real)
    assert "Check the unit." in report.warnings[0]
    _, right = read(tmp_path, tenfold, lines[0], target="OC", unit="g/kg", **real)
    assert not any("Check the unit." in warning for warning in right.warnings)


@pytest.mark.parametrize(("unit", "warned"), [("%", False), ("g/kg", True), ("mass-%", False), ("mg/kg", True)])
def test_a_column_in_another_unit_is_suspected(tmp_path: Path, unit: str, warned: bool) -> None:
    _, report = read(tmp_path, good_rows(), unit=unit)
    assert any("Check the unit" in warning for warning in report.warnings) == warned


def test_repeated_places_without_names_are_replicates(tmp_path: Path) -> None:
    rows = ["1,5,500000,5800000", "1,6,500000,5800000", "1,6,500000,5800000"]
    table, report = read(tmp_path, rows, "a,oc,x,y", id=None, upper=None, lower=None)
    assert report.counts == {"duplicate": 1}
    assert table.groups.tolist() == [0, 0]
    assert "2 rows give differing values at one place" in report.warnings[0]


SITE_HEADER = "site,oc,x,y"


@pytest.mark.parametrize(("second", "code"), [("1.9", "conflict"), ("1.5", "duplicate")])
def test_a_name_tells_repetition_where_coordinates_differ_a_little(tmp_path: Path, second: str, code: str) -> None:
    rows = [
        f"P{i},{value},{x},5800000"
        for i in range(60)
        for value, x in (("1.5", 500_000 + 100 * i), (second, 500_000.5 + 100 * i))
    ]
    table, report = read(tmp_path, rows, SITE_HEADER, upper=None, lower=None, depth=None)
    assert report.counts == {code: 120 if code == "conflict" else 60}
    assert len(set(table.ids)) == len(table)


def grouped(ids: Sequence[str], x: Sequence[float]) -> list[int]:
    places = np.array(x, dtype=float)
    rows = tuple((i,) for i in range(len(ids)))
    table = SampleTable(tuple(ids), rows, places, places, places[:, None], np.empty((len(ids), 0)), places, ("soc",))
    return table.groups.tolist()


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 6)), min_size=1, max_size=12))
def test_groups_join_names_and_places_over_others(pairs: list[tuple[str, int]]) -> None:
    groups = grouped([name for name, _ in pairs], [place for _, place in pairs])
    labels = list(range(len(pairs)))
    for _ in pairs:
        for i, (name, place) in enumerate(pairs):
            labels[i] = min(labels[k] for k, (n, p) in enumerate(pairs) if n == name or p == place)
    for i in range(len(pairs)):
        for k in range(len(pairs)):
            assert (groups[i] == groups[k]) == (labels[i] == labels[k])


def test_one_profile_within_a_metre_is_one_group() -> None:
    assert grouped(["A", "A", "B", "C"], [0.0, 0.5, 9.0, 0.5]) == [0, 0, 1, 0]


def test_a_metre_is_a_metre_in_feet(tmp_path: Path) -> None:
    rows = [f"P{i:03d},1.{i:02d},{980_000 + 100 * i},200000" for i in range(40)]
    feet = {"crs": parse_crs("EPSG:2263"), "upper": "upper", "lower": "lower"}
    horizons = [f"{row.split(',')[0]},0,20,{','.join(row.split(',')[1:])}" for row in rows]
    near, far = "A,0,20,1.5,980000,210000", "B,0,20,1.5,980000,220000"
    horizons += [near, near.replace("0,20", "20,40").replace("980000", "980003")]
    horizons += [far, far.replace("0,20", "20,40").replace("980000", "980004")]
    _, report = read(tmp_path, horizons, **feet)
    assert report.counts == {"moved-profile": 2}
    assert "1.22 m apart" in report.excluded[0].message


def test_locations_are_groups(tmp_path: Path) -> None:
    table, _ = read(tmp_path, [*good_rows(), "A,0,20,1.5,500000,5800000"])
    assert table.groups[0] == table.groups[40]
    assert np.unique(table.groups).size == 40


# Texture


TEXTURE_HEADER = "site,S,SI,C,oc,x,y"
TEXTURE_ROWS = [
    "A,40,40,20,1.5,500000,5800000",
    "B,0,0,0,20,500100,5800000",
    "C,40,40,20.8,1.5,500200,5800000",
    "D,40,,20,1.5,500300,5800000",
]


def test_texture_that_does_not_sum_excludes_a_row_for_a_texture_target(tmp_path: Path) -> None:
    clay = {"target": "C", "property": soil_property("clay"), "upper": None, "lower": None, "depth": None}
    table, report = read(tmp_path, TEXTURE_ROWS, TEXTURE_HEADER, **clay)
    assert [(each.row, each.code) for each in report.excluded] == [(3, "texture-sum")]
    assert table.ids == ("A", "C", "D")
    assert "texture sum of 1 rows could not be checked" in report.warnings[0]


def test_texture_does_not_concern_a_carbon_target(tmp_path: Path) -> None:
    table, report = read(tmp_path, TEXTURE_ROWS, TEXTURE_HEADER, upper=None, lower=None, depth=None)
    assert len(table) == 4
    assert report.excluded == ()


def test_the_texture_tolerance_can_be_set(tmp_path: Path) -> None:
    clay = {"target": "C", "property": soil_property("clay"), "upper": None, "lower": None, "depth": None}
    table, _ = read(tmp_path, TEXTURE_ROWS, TEXTURE_HEADER, texture_tolerance=0.5, **clay)
    assert table.ids == ("A", "D")


@pytest.mark.parametrize(
    ("columns", "target", "found"),
    [
        (("S", "SI", "C", "OC"), "C", ("S", "SI", "C")),
        (("Sand", "Silt", "Clay"), "Clay", ("Sand", "Silt", "Clay")),
        (("S", "SI", "C", "OC"), "OC", None),
        (("S", "C", "N"), "C", None),
        (("sand", "s", "silt", "clay"), "clay", None),
    ],
)
def test_texture_columns_are_recognised_only_when_clear(
    columns: tuple[str, ...], target: str, found: tuple[str, str, str] | None
) -> None:
    assert texture_columns(columns, target) == found


# The file


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_encodings_and_delimiters_are_found_out(tmp_path: Path, encoding: str, delimiter: str) -> None:
    rows = [row.replace("P", "Größe ").replace(",", delimiter) for row in good_rows()]
    path = write(tmp_path / "s.csv", rows, HEADER.replace(",", delimiter), encoding)
    table, report = read_samples(path, spec_of())
    assert table.ids[0] == "Größe 000"
    assert (report.delimiter, report.encoding) == (delimiter, "latin-1" if encoding == "latin-1" else "utf-8")


def test_decimal_commas_are_read_where_cells_are_parted_otherwise(tmp_path: Path) -> None:
    rows = [row.replace(",", ";").replace(".", ",") for row in good_rows()]
    table, report = read_samples(write(tmp_path / "s.csv", rows, HEADER.replace(",", ";")), spec_of())
    np.testing.assert_allclose(table.value, [10 + i / 5 for i in range(40)])
    assert report.decimal_comma


def test_mixed_decimal_signs_are_not_guessed(tmp_path: Path) -> None:
    rows = [row.replace(",", ";") for row in good_rows()] + ["A;0;20;1,234;500000;5800000"]
    _, report = read_samples(write(tmp_path / "s.csv", rows, HEADER.replace(",", ";")), spec_of())
    assert [(each.row, each.code) for each in report.excluded] == [(42, "not-a-number")]


def test_windows_line_ends_and_quotes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes("\r\n".join(['"site",upper,lower,oc,x,y', *good_rows(), '"a, b",0,20,1,500000,5800000']).encode())
    assert "a, b" in read_samples(path, spec_of())[0].ids


@pytest.mark.parametrize(
    "content", [b"", b"  \n ", b"PK\x03\x04zip", b"\xff\xfeu\x00t\x00f\x00", b"a,b\n\x00,1\n", b"one\n1\n"]
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.csv").write_bytes(content)
    with pytest.raises(InvalidSamples):
        read_samples(tmp_path / "s.csv", spec_of())


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no samples at"):
        read_samples(tmp_path / "none.csv", spec_of())


def test_a_missing_column_lists_the_others(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="has no column 'SOC'; there are site, upper, lower, oc, x, y"):
        read(tmp_path, good_rows(), target="SOC")


def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSamples, match="2 columns 'oc'"):
        read(tmp_path, [f"{row},1" for row in good_rows()], HEADER + ",oc")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lower": None}, "only one of the depth columns"),
        ({"id": None}, "horizons have no profile"),
        ({"depth": None}, "horizons have no depth interval"),
        ({"unit": "pH"}, "soc cannot be given in 'pH'"),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(tmp_path, good_rows(), **changes)


# Too few, too equal, without covariates


def test_too_few_samples_are_refused_with_the_main_reason(tmp_path: Path) -> None:
    table, report = read(tmp_path, good_rows(10) + ["A,20,0,1.5,500000,5800000"] * 5)
    with pytest.raises(
        InvalidSamples, match=r"10 usable samples of 15 rows \(5 excluded as inverted-depth, such as row 12"
    ):
        check_enough(table, report)


def test_samples_of_one_value_are_refused(tmp_path: Path) -> None:
    rows = [f"P{i},0,20,1.5,{500_000 + i},5800000" for i in range(40)]
    with pytest.raises(InvalidSamples, match=r"all 40 samples of samples\.csv have the value 15"):
        check_enough(*read(tmp_path, rows))


def test_samples_without_covariates_are_told_by_row(tmp_path: Path) -> None:
    table, report = read(tmp_path, good_rows())
    covariates = np.ones((40, 2))
    covariates[3], covariates[5, 1] = np.nan, np.nan
    kept, rest, told = without_gaps(table, report, covariates, ("dem", "ndvi"))
    assert kept.sum() == len(rest) == told.samples == 38
    assert [(each.row, each.message.split(" at ")[0]) for each in told.excluded] == [
        (5, "all covariates missing"),
        (7, "ndvi missing"),
    ]
    assert_every_row_is_told(told)


cells = st.sampled_from(["", "0", "20", "40", "-3", "1.5", "99", "x", "< 5", "NaN", "500000", "5800000", "13.2"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(cells, min_size=4, max_size=7), max_size=12))
def test_whatever_the_rows_hold_each_is_used_or_told(tmp_path: Path, rows: list[list[str]]) -> None:
    table, report = read(tmp_path, good_rows(3) + [",".join(row) for row in rows])
    assert_every_row_is_told(report)
    assert np.isfinite(table.values).all()
    assert report.rows == 3 + len(rows)


def test_the_real_profiles_are_all_used_for_carbon(shared_data: Path) -> None:
    path = shared_data / "cdsm-peterborough" / "Analytical.csv"
    real = {"id": "SITE_ID", "upper": "UPPER", "lower": "LOWER", "crs": parse_crs("EPSG:26917")}
    table, report = read_samples(path, spec_of(target="OC", **real))
    assert (len(table), report.rows, report.excluded) == (94, 297, ())
    _, clay = read_samples(path, spec_of(target="C", property=soil_property("clay"), **real))
    assert set(clay.counts) == {"texture-sum", "partial-coverage"}
    assert_every_row_is_told(clay)
