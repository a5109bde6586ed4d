"""Formulas of derived properties: worked values, hand computations and how they must respond."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cup4soil.errors import InvalidInput
from cup4soil.methods import derived
from cup4soil.methods.domains import classify
from cup4soil.methods.texture import class_keys

_oc = st.floats(0.0, 12.0)


@given(st.floats(0, 600), st.floats(0.1, 2.65), st.floats(0.5, 200), st.floats(0, 100))
def test_the_stock_is_the_mass_in_a_hectare(soc, density, thickness, fragments) -> None:
    # Volume of a hectare in m3, of which stones are no fine earth; t/m3 x kg/t = t of carbon in kg/1000.
    volume = 10_000 * thickness / 100 * (1 - fragments / 100)
    assert derived.soc_stock(soc, density, thickness, fragments) == pytest.approx(volume * density * soc / 1000)


def test_a_stock_by_hand() -> None:
    assert derived.soc_stock(20, 1.3, 30, 10) == pytest.approx(70.2)


def test_available_water_of_the_worked_example() -> None:
    capacity, wilting = derived.field_capacity(20, 40, 1.5), derived.wilting_point(20, 40, 1.5)
    assert (round(float(capacity), 3), round(float(wilting), 3)) == (0.311, 0.142)
    assert derived.available_water(capacity, wilting, 30) == pytest.approx(10 * 30 * (0.31056 - 0.14183), abs=0.01)
    assert derived.available_water(capacity, wilting, 30, 50) == pytest.approx(
        derived.available_water(capacity, wilting, 30) / 2
    )


def test_water_contents_as_printed_with_four_digits() -> None:
    """The rounded coefficients of an independent account of the same equations."""
    rng = np.random.default_rng(1)
    clay, silt = 0.6 * rng.uniform(0, 100, (2, 500)) * np.array([[1], [0.6]])
    oc = rng.uniform(0.2, 6, 500)
    u = 1 / (oc + 1)
    fc = 0.2449 - 0.1887 * u + 0.004527 * clay + 0.001535 * silt + 0.001442 * silt * u - 0.0000511 * silt * clay
    wp = 0.09878 + 0.002127 * clay - 0.0008366 * silt - 0.0767 * u + 0.00003853 * silt * clay
    np.testing.assert_allclose(derived.field_capacity(clay, silt, oc), fc + 0.0008676 * clay * u, atol=3e-4)
    np.testing.assert_allclose(
        derived.wilting_point(clay, silt, oc), wp + 0.00233 * clay * u + 0.0009498 * silt * u, atol=3e-4
    )


@given(st.floats(0, 1), st.floats(0, 1), st.floats(1, 200))
def test_water_below_the_wilting_point_is_none(capacity, wilting, thickness) -> None:
    water = derived.available_water(capacity, wilting, thickness)
    assert water >= 0
    assert (water == 0) == (capacity <= wilting) or water < 1e-9


def test_organic_matter_and_carbon_to_nitrogen() -> None:
    assert derived.organic_matter(10) == pytest.approx(17.24)
    ratio = derived.carbon_nitrogen([20.0, 20.0, 20.0, np.nan], [2.0, 0.1, 0.0, 2.0], detection_limit=0.2)
    np.testing.assert_array_equal(ratio, [10.0, np.nan, np.nan, np.nan])


@given(_oc, _oc)
def test_more_carbon_makes_soil_lighter(one, other) -> None:
    less, more = sorted((one, other))
    assert derived.density_manrique_jones(more) <= derived.density_manrique_jones(less)
    assert derived.density_hollis(more, 40, 20) <= derived.density_hollis(less, 40, 20)
    assert derived.density_adams(more) <= derived.density_adams(less)


def test_bulk_densities_by_hand() -> None:
    assert derived.density_manrique_jones(4.0) == pytest.approx(1.66 - 0.636)
    assert derived.density_hollis(0.0, 40, 20) == pytest.approx(0.80806 + 0.823844 + 0.05626 - 0.020598)
    assert derived.density_adams(0.0) == pytest.approx(1.64)
    assert derived.density_adams(100.0) == pytest.approx(0.244)


def test_no_density_of_organic_soils_by_functions_of_mineral_ones() -> None:
    assert np.isnan(derived.density_manrique_jones([12.1, 40.0])).all()
    assert np.isnan(derived.density_hollis(12.1, 40, 20))


def test_packing_density_and_structure_classes() -> None:
    density = derived.packing_density([1.2, 1.3, 1.5], [20, 20, 30])
    np.testing.assert_allclose(density, [1.38, 1.48, 1.77])
    assert classify(density, (1.40, 1.75)).tolist() == [0, 1, 2]
    ratio = derived.carbon_clay([26, 22, 16, 14, 14], [20, 20, 20, 20, 0])
    np.testing.assert_allclose(ratio[:4], [0.13, 0.11, 0.08, 0.07])
    assert classify(ratio, (1 / 13, 1 / 10, 1 / 8)).tolist() == [3, 2, 1, 0, -1]


def test_lime_requirement() -> None:
    # The public table behind the factor 6: pH 5.4 needs 7.8 t/ha to reach 6.7.
    assert derived.lime_requirement(5.4, 6, 6.7) == pytest.approx(7.8)
    assert derived.lime_requirement(7.2, 8, 6.7) == 0
    assert set(derived.LIME_FACTORS) == set(class_keys("usda"))


def test_change_of_paired_draws_against_counting() -> None:
    rng = np.random.default_rng(3)
    old = rng.lognormal(4, 0.3, (400, 6))
    new = old * (1 + rng.normal([-0.3, -0.12, -0.05, 0.0, 0.09, 0.4], 0.05, (400, 6)))
    found = derived.change(old, new)
    r = [[100 * (n / o - 1) for o, n in zip(a, b, strict=True)] for a, b in zip(old.T, new.T, strict=True)]
    np.testing.assert_allclose(found.relative, [np.median(row) for row in r], rtol=1e-9)
    np.testing.assert_allclose(found.degraded, [np.mean([v < -10 for v in row]) for row in r])
    np.testing.assert_allclose(found.improved, [np.mean([v > 10 for v in row]) for row in r])
    assert found.flag.tolist() == [-1, -1, 0, 0, 0, 1]


def test_draws_that_share_their_error_are_surer_of_the_change() -> None:
    rng = np.random.default_rng(4)
    shared = rng.lognormal(4, 0.3, (4000, 1))
    paired = derived.change(shared, 0.85 * shared * rng.lognormal(0, 0.02, (4000, 1)))
    alone = derived.change(shared, 0.85 * rng.permutation(shared))
    assert paired.degraded[0] > 0.98
    assert 0.4 < alone.degraded[0] < 0.75


def test_a_place_without_all_draws_has_no_change() -> None:
    old, new = np.full((3, 2), 50.0), np.array([[40.0, 40.0], [np.nan, 40.0], [40.0, 40.0]])
    found = derived.change(old, new)
    assert np.isnan([found.relative[0], found.degraded[0], found.improved[0]]).all()
    assert (found.flag.tolist(), found.degraded[1]) == ([0, -1], 1.0)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: derived.soc_stock(-1, 1.3, 30), "soc of -1"),
        (lambda: derived.soc_stock(20, 1300, 30), "density of 1300"),
        (lambda: derived.soc_stock(20, 1.3, 30, 101), "fragments of 101"),
        (lambda: derived.field_capacity(60, 50, 1), r"clay \+ silt of 110"),
        (lambda: derived.wilting_point(20, 40, np.inf), "carbon of inf"),
        (lambda: derived.lime_requirement(5, 6, 12), "target of 12"),
        (lambda: derived.change([[1.0]], [[1.0, 2.0]]), "draws of shapes"),
        (lambda: derived.change([[0.0]], [[1.0]]), "not above 0"),
        (lambda: classify([1.0], (2.0, 1.0)), "bounds"),
    ],
)
def test_what_no_soil_has_is_refused(call, problem) -> None:
    with pytest.raises(InvalidInput, match=problem):
        call()
