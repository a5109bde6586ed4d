"""Properties, units and depth intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cup4soil.depths import MAX_DEPTH_CM, Depth
from cup4soil.errors import InvalidInput, NotFound
from cup4soil.properties import property_codes, soil_property

cm = st.integers(0, round(MAX_DEPTH_CM) * 4).map(lambda quarter: quarter / 4)
depths = st.tuples(cm, cm).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: Depth(min(pair), max(pair)))


@pytest.mark.parametrize(
    ("code", "unit", "value", "expected"),
    [
        ("soc", "%", 1.5, 15.0),
        ("soc", "g/kg", 15.0, 15.0),
        ("soc", "mg/kg", 15_000.0, 15.0),
        ("soc", " G / KG ", 15.0, 15.0),
        ("nitrogen", "%", 0.2, 2.0),
        ("clay", "g/kg", 250.0, 25.0),
        ("bdod", "kg/m3", 1400.0, 1.4),
        ("bdod", "g/cm³", 1.4, 1.4),
        ("cec", "meq/100g", 12.0, 12.0),
        ("cec", "cmol(c) kg-1", 12.0, 12.0),
        ("soc", "g kg-1", 15.0, 15.0),
        ("soc", "g·kg⁻¹", 15.0, 15.0),
        ("som", "%", 3.0, 30.0),
        ("p", "mg/100g", 4.0, 40.0),
        ("k", "ppm", 140.0, 140.0),
        ("ec", "mS/m", 18.0, 0.18),
        ("ec", "mS m-1", 18.0, 0.18),
        ("ec", "µS/cm", 180.0, 0.18),
        ("caco3", "g/kg", 55.0, 55.0),
        ("cd", "ug/kg", 300.0, 0.3),
        ("zn", "mg/kg", 70.0, 70.0),
        ("wv0033", "cm3 cm-3", 0.31, 31.0),
        ("wv1500", "1e-3 cm3/cm3", 142.0, 14.2),
        ("ocd", "hg/m3", 250.0, 25.0),
        ("bdod", "g cm-3", 1.4, 1.4),
    ],
)
def test_units_of_tables(code, unit, value, expected):
    assert soil_property(code).to_unit(np.array([value]), unit)[0] == pytest.approx(expected)


@pytest.mark.parametrize("code", property_codes())
def test_stored_numbers_hold_the_valid_range(code):
    known = soil_property(code)
    assert max(abs(v) for v in known.valid_range) * known.factor <= 32767
    assert known.unit in known.conversions
    assert known.to_unit(np.array([1.0]), known.unit)[0] == 1.0


def test_unknown_unit_and_property():
    with pytest.raises(InvalidInput, match="use one of"):
        soil_property("soc").to_unit(np.array([1.0]), "t/ha")
    with pytest.raises(NotFound, match="phh2o"):
        soil_property("carbon")


def test_range_is_inclusive_and_refuses_nan():
    low, high = soil_property("clay").valid_range
    assert soil_property("clay").in_range(np.array([low, high, low - 1, high + 1, np.nan])).tolist() == [
        True,
        True,
        False,
        False,
        False,
    ]


@given(depths)
def test_depth_survives_its_text(depth):
    assert Depth.parse(str(depth)) == depth


@given(depths, depths)
def test_overlap_is_symmetric_and_bounded(one, two):
    assert one.overlap_cm(two) == two.overlap_cm(one)
    assert 0 <= one.overlap_cm(two) <= min(one.thickness_cm, two.thickness_cm) + 1e-9
    assert one.overlap_cm(one) == pytest.approx(one.thickness_cm)


@pytest.mark.parametrize("text", ["20-0", "0-0", "5", "a-b", "-5-10", "0-2000", "", "0-20 m"])
def test_bad_depths(text):
    with pytest.raises(InvalidInput, match="0-20"):
        Depth.parse(text)


def test_depth_in_collection_names():
    assert str(Depth.parse(" 0 - 20 cm")) == "0-20cm"
    assert str(Depth.parse("7.5-30")) == "7.5-30cm"
