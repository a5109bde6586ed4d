"""Several properties at once, horizons as samples, and values below the limit of detection."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.grids import parse_crs
from cup4soil.properties import soil_property
from producers.samples import SampleReport, SampleSpec, SampleTable, TargetSpec, check_enough, read_samples

HEADER = "site,upper,lower,oc,bd,x,y"
ROWS = [
    "A,0,20,1.5,1300,500000,5800000",
    "A,20,50,0.5,1500,500000,5800000",
    "A,50,120,0.2,1600,500000,5800000",
    "B,0,30,2.0,1200,500100,5800000",
    "C,0,30,,1200,500200,5800000",
    "D,0,30,2.2,NA,500300,5800000",
]
CARBON = TargetSpec(column="oc", property=soil_property("soc"), unit="%")
DENSITY = TargetSpec(column="bd", property=soil_property("bdod"), unit="kg/m3")


def read(folder: Path, rows: list[str], header: str = HEADER, **changes: Any) -> tuple[SampleTable, SampleReport]:
    given = {
        "targets": (CARBON, DENSITY), "x": "x", "y": "y", "crs": parse_crs("EPSG:32633"), "id": "site",
        "upper": "upper", "lower": "lower", "depth": Depth(0, 30),
    }  # fmt: skip
    path = folder / "s.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return read_samples(path, SampleSpec(**(given | changes)))


def test_properties_are_read_together_each_in_its_unit(tmp_path: Path) -> None:
    table, report = read(tmp_path, ROWS)
    assert table.codes == ("soc", "bdod")
    assert table.ids == ("A", "B")
    np.testing.assert_allclose(table.values, [[(20 * 15 + 10 * 5) / 30, (20 * 1.3 + 10 * 1.5) / 30], [20, 1.2]])
    assert report.counts == {"missing-target": 2}
    assert [each.message for each in report.excluded] == ["no value in column oc", "no value in column bd"]
    assert report.warnings == (
        "2 rows have a value of some of oc, bd and not of all; they cannot serve a joint model.",
    )
    assert table.depths is not None
    assert table.depths.tolist() == [[0, 30], [0, 30]]


def test_a_joint_table_has_no_single_value(tmp_path: Path) -> None:
    table, _ = read(tmp_path, ROWS)
    with pytest.raises(InvalidInput, match="samples of soc, bdod have no single value"):
        _ = table.value


def test_each_property_is_held_against_its_own_range(tmp_path: Path) -> None:
    _, report = read(tmp_path, [*ROWS[:4], "E,0,30,1,13000,500400,5800000", "F,0,30,99,1300,500500,5800000"])
    assert [each.message.split(";")[0] for each in report.excluded] == [
        "bd of 13000 kg/m3 is outside 0.01 to 2.65 kg/dm3",
        "oc of 99 % is outside 0 to 600 g/kg",
    ]


def test_one_property_cannot_be_asked_for_twice(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="named twice in soc, soc"):
        read(tmp_path, ROWS, targets=(CARBON, TargetSpec(column="bd", property=soil_property("soc"), unit="%")))


def test_any_property_of_one_value_is_refused(tmp_path: Path) -> None:
    rows = [f"P{i},0,30,{1 + i / 50},1300,{500_000 + 100 * i},5800000" for i in range(40)]
    with pytest.raises(InvalidSamples, match=r"have the value 1\.3"):
        check_enough(*read(tmp_path, rows))


def test_horizons_as_rows_keep_their_depth_and_their_profile(tmp_path: Path) -> None:
    table, report = read(tmp_path, ROWS, depths_as_rows=True, depth=None)
    assert table.ids == ("A", "A", "A", "B")
    assert table.depth_mid.tolist() == [10, 35, 85, 15]
    assert table.thickness.tolist() == [20, 30, 70, 30]
    np.testing.assert_allclose(table.values[:, 0], [15, 5, 2, 20])
    assert table.rows == ((2,), (3,), (4,), (5,))
    assert len(set(table.groups[:3])) == 1
    assert table.groups[3] != table.groups[0]
    assert report.used_rows + len(report.excluded) == report.rows
    assert table.take(table.depth_mid > 30).thickness.tolist() == [30, 70]


def test_horizons_as_rows_can_be_limited_by_their_middle(tmp_path: Path) -> None:
    table, report = read(tmp_path, ROWS, depths_as_rows=True, depth=Depth(0, 60))
    assert table.depth_mid.tolist() == [10, 35, 15]
    assert report.outside_interval_rows == 1


def test_horizons_as_rows_need_depths(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no depth columns"):
        read(tmp_path, ROWS, depths_as_rows=True, upper=None, lower=None)


def test_samples_without_depth_say_so(tmp_path: Path) -> None:
    table, _ = read(tmp_path, ROWS[:1] + ROWS[3:4], upper=None, lower=None, depth=None)
    assert table.depths is None
    with pytest.raises(InvalidInput, match="have no depth"):
        _ = table.depth_mid


def test_depths_in_metres(tmp_path: Path) -> None:
    rows = ["A,0,0.2,1.5,1300,500000,5800000", "A,0.2,0.5,0.5,1500,500000,5800000"]
    table, _ = read(tmp_path, rows, to_cm=100.0, depths_as_rows=True, depth=None)
    assert table.depth_mid.tolist() == [10, 35]


def carbon_rows(*cells: str) -> list[str]:
    return [f"P{i},0,30,{cell},1300,{500_000 + 100 * i},5800000" for i, cell in enumerate(cells)]


def test_half_the_limit_stands_for_what_was_not_detected(tmp_path: Path) -> None:
    limited = CARBON.model_copy(update={"detection_limit": 0.2})
    rows = carbon_rows("< 0.5", "<LOD", "nd", "1.5")
    table, report = read(tmp_path, rows, targets=(limited,), below=("ND",), below_detection="half")
    np.testing.assert_allclose(table.value, [2.5, 1.0, 1.0, 15.0])
    assert report.excluded == ()
    assert "3 values below the limit of detection stand at half of it" in report.warnings[0]


def test_without_a_known_limit_there_is_no_half_of_it(tmp_path: Path) -> None:
    table, report = read(tmp_path, carbon_rows("< 0.5", "<LOD", "1.5"), targets=(CARBON,), below_detection="half")
    np.testing.assert_allclose(table.value, [2.5, 15.0])
    assert [each.code for each in report.excluded] == ["below-detection"]


def test_numbers_that_stand_for_a_missing_value(tmp_path: Path) -> None:
    rows = carbon_rows("-9999.0", "-9999", "n.d.", "1.5")
    table, report = read(tmp_path, rows, targets=(CARBON,), missing=("-9999", "N.D."))
    assert table.value.tolist() == [15.0]
    assert report.counts == {"missing-target": 3}


def test_a_factor_comes_before_the_unit(tmp_path: Path) -> None:
    organic_matter = CARBON.model_copy(update={"factor": 0.58})
    table, _ = read(tmp_path, carbon_rows("2"), targets=(organic_matter,))
    np.testing.assert_allclose(table.value, [11.6])


def test_the_real_texture_is_read_jointly(shared_data: Path) -> None:
    path = shared_data / "cdsm-peterborough" / "Analytical.csv"
    targets = tuple(
        TargetSpec(column=column, property=soil_property(code), unit="%")
        for column, code in (("C", "clay"), ("SI", "silt"), ("S", "sand"))
    )
    spec = SampleSpec(
        targets=targets, x="x", y="y", crs=parse_crs("EPSG:26917"), id="SITE_ID", upper="UPPER", lower="LOWER",
        depth=Depth(0, 20),
    )  # fmt: skip
    table, report = read_samples(path, spec)
    assert report.rows == 297
    assert set(report.counts) == {"texture-sum", "partial-coverage"}
    np.testing.assert_allclose(table.values.sum(axis=1), 100, atol=1.0)
    rows, _ = read_samples(path, spec.model_copy(update={"depths_as_rows": True, "depth": None}))
    assert len(rows) == 297 - report.counts["texture-sum"]
    assert np.unique(rows.groups).size == len(set(rows.ids))


def test_the_spline_sees_the_layers_below_the_interval(tmp_path: Path) -> None:
    weighted, _ = read(tmp_path, ROWS[:4], targets=(CARBON,), depth=Depth(0, 20))
    spline, report = read(tmp_path, ROWS[:4], targets=(CARBON,), depth=Depth(0, 20), harmonise="spline", smoothing=0)
    np.testing.assert_allclose(spline.value, weighted.value)
    spline, report = read(tmp_path, ROWS[:4], targets=(CARBON,), depth=Depth(0, 10), harmonise="spline")
    assert spline.value[0] > weighted.value[0] + 1
    assert spline.value[1] == 20.0
    assert report.outside_interval_rows == 2
    assert report.used_rows + report.outside_interval_rows + len(report.excluded) == report.rows


def test_a_spline_out_of_range_is_cut_and_told(tmp_path: Path) -> None:
    layers = ((0, 20, 45), (20, 25, 0.5), (25, 45, 0.2), (45, 100, 0.1))
    rows = [f"A,{a},{b},{value},1300,500000,5800000" for a, b, value in layers]
    table, report = read(tmp_path, rows, targets=(CARBON,), depth=Depth(22, 30), harmonise="spline")
    assert table.value.tolist() == [0.0]
    assert "The spline of 1 profiles left what the property can be" in report.warnings[-1]


def test_the_real_horizons_give_splines_in_range(shared_data: Path) -> None:
    path = shared_data / "cdsm-peterborough" / "Analytical.csv"
    spec = SampleSpec(
        targets=(TargetSpec(column="OC", property=soil_property("soc"), unit="%"),), x="x", y="y",
        crs=parse_crs("EPSG:26917"), id="SITE_ID", upper="UPPER", lower="LOWER", depth=Depth(0, 20),
    )  # fmt: skip
    weighted, _ = read_samples(path, spec)
    spline, _ = read_samples(path, spec.model_copy(update={"harmonise": "spline"}))
    order = [spline.ids.index(name) for name in weighted.ids]
    assert len(spline) == len(weighted) == 94
    assert np.corrcoef(np.log(weighted.value), np.log(np.maximum(spline.value[order], 0.1)))[0, 1] > 0.95
    assert spline.value.min() >= 0
