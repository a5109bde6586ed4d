"""Factors of soil loss: hand computations, published limits and how they must respond."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cup4soil.errors import InvalidInput
from cup4soil.methods import erosion
from cup4soil.methods.texture import class_keys

_slopes = st.floats(0.0, 3.0)


def test_erodibility_by_hand() -> None:
    m = (40 + 0.2 * 40) * 80
    by_hand = (2.1e-4 * m**1.14 * 10 + 3.25 * 1 + 2.5 * 0) / 759.3
    assert erosion.erodibility(20, 40, 40, 2, 3, 3) == pytest.approx(by_hand, rel=2e-4)
    assert erosion.erodibility(20, 40, 40, 2, 3, 3, very_fine_sand=8) == erosion.erodibility(20, 40, 40, 2, 3, 3)


@given(st.floats(0, 100), st.floats(0, 1), st.floats(0, 50), st.integers(1, 4), st.integers(1, 6))
def test_erodibility_stays_in_the_nomograph_and_falls_with_matter(clay, part, matter, structure, permeability) -> None:
    silt = part * (100 - clay)
    k = erosion.erodibility(clay, silt, 100 - clay - silt, matter, structure, permeability)
    assert 0 <= k < 0.13
    assert k <= erosion.erodibility(clay, silt, 100 - clay - silt, matter / 2, structure, permeability)


def test_matter_counts_up_to_four_percent() -> None:
    assert erosion.erodibility(20, 40, 40, 4, 3, 3) == erosion.erodibility(20, 40, 40, 30, 3, 3)


def test_stones_protect_above_ten_percent() -> None:
    np.testing.assert_allclose(erosion.stoniness([0, 10, 35]), [1, 1, np.exp(-1)])


def test_a_bare_year_loses_all_and_a_covered_one_little() -> None:
    assert erosion.cover_management(np.ones((12, 1)), 80.0)[0] == pytest.approx(1)
    assert erosion.cover_management(np.zeros((12, 1)), 80.0)[0] == pytest.approx(np.exp(-2.8))


def test_cover_management_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    bare, cover, weight = rng.uniform(size=(12, 5)), rng.uniform(0, 100, (12, 5)), rng.uniform(0.1, 1, 12)
    bare[3, 2] = np.nan
    bare[:, 4] = np.nan
    expected = []
    for place in range(4):
        months = [m for m in range(12) if np.isfinite(bare[m, place])]
        loss = sum(
            weight[m] * (bare[m, place] + (1 - bare[m, place]) * np.exp(-0.035 * cover[m, place])) for m in months
        )
        expected.append(loss / sum(weight[m] for m in months))
    found = erosion.cover_management(bare, cover, weight)
    np.testing.assert_allclose(found[:4], expected)
    assert np.isnan(found[4])


def test_bare_soil_counts_when_it_rains() -> None:
    bare = np.zeros((12, 1))
    bare[5] = 1.0
    stormy = np.ones(12)
    stormy[5] = 10.0
    assert erosion.cover_management(bare, 80.0, stormy)[0] > 2 * erosion.cover_management(bare, 80.0)[0]


@given(_slopes, _slopes)
def test_steeper_is_never_less_erosive(one, other) -> None:
    flat, steep = sorted((one, other))
    # The two branches leave a step of 0.008 at 9 %.
    assert erosion.steepness(steep) >= erosion.steepness(flat) - 1e-12
    assert 0 <= erosion.length_exponent(flat) <= erosion.length_exponent(steep) < 1


def test_relief_of_the_unit_plot_is_one() -> None:
    """9 % and 22.13 m: the plot that the other factors are relative to."""
    assert erosion.length(0.0, 0.09, 22.13) == pytest.approx(1.0)
    assert erosion.steepness(0.09) == pytest.approx(1.0, abs=0.01)


@given(st.floats(0, 1e6), st.floats(0.001, 1), st.floats(2, 100))
def test_length_by_its_definition_as_a_difference(area, slope, cell) -> None:
    """Desmet & Govers: loss of the field with the cell less that without it, per area of the cell."""
    m = float(erosion.length_exponent(slope))

    def slope_length_loss(contributing: float) -> float:
        return contributing * (contributing / cell / 22.13) ** m

    expected = (slope_length_loss(area + cell**2) - slope_length_loss(area)) / cell**2
    assert erosion.length(area, slope, cell) == pytest.approx(expected, rel=1e-6)


def test_flow_across_a_cell_is_spread_wider() -> None:
    straight, diagonal = erosion.length([0.0, 0.0], 0.1, 20.0, [90.0, 45.0])
    assert diagonal == pytest.approx(straight / np.sqrt(2) ** float(erosion.length_exponent(0.1)))


def test_soil_loss_multiplies() -> None:
    assert erosion.soil_loss(722, 0.032, 1.63, 0.233, 0.97) == pytest.approx(722 * 0.032 * 1.63 * 0.233 * 0.97)


def test_every_texture_has_a_permeability() -> None:
    assert set(erosion.PERMEABILITY) == set(class_keys("usda"))


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: erosion.erodibility(20, 40, 40, 2, 5, 3), "structure of 5"),
        (lambda: erosion.erodibility(20, 40, 140, 2, 3, 3), "sand of 140"),
        (lambda: erosion.cover_management(np.ones((11, 2)), 80.0), "shape"),
        (lambda: erosion.cover_management(50 * np.ones((12, 2)), 80.0), "bare of 50"),
        (lambda: erosion.cover_management(np.ones((12, 2)), np.ones(11)), "cover of shape"),
        (lambda: erosion.cover_management(np.ones((12, 2)), 80.0, np.zeros(12)), "no month"),
        (lambda: erosion.soil_loss(700, 32, 1, 1), "erodibility of 32"),
        (lambda: erosion.length(-5.0, 0.1, 20.0), "area of -5"),
    ],
)
def test_what_cannot_be_is_refused(call, problem) -> None:
    with pytest.raises(InvalidInput, match=problem):
        call()
