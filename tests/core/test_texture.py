"""Texture as a composition: sums, zeros, log-ratios and their way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cup4soil.errors import InvalidInput
from cup4soil.methods.texture import (
    SYSTEMS,
    alr,
    class_keys,
    class_titles,
    close,
    inverse_alr,
    move_silt_limit,
    texture_class,
)

_amounts = st.one_of(st.just(0.0), st.floats(1e-6, 1e4))
_tables = arrays(np.float64, st.tuples(st.integers(1, 20), st.just(3)), elements=_amounts)


@given(_tables, st.floats(0.01, 33.0))
def test_closed_fractions_sum_to_100_and_none_is_below_the_least(parts, least) -> None:
    shares = close(*parts.T, least=least)
    measured = parts.sum(axis=1) > 0
    assert np.isnan(shares[~measured]).all()
    np.testing.assert_allclose(shares[measured].sum(axis=1), 100.0, rtol=1e-12)
    assert (shares[measured] >= least * (1 - 1e-12)).all()


@given(_tables)
def test_closing_twice_changes_nothing_and_keeps_the_order_of_the_fractions(parts) -> None:
    parts = parts[parts.sum(axis=1) > 0]
    shares = close(*parts.T)
    np.testing.assert_allclose(close(*shares.T), shares, rtol=1e-12)
    for above, below in ((0, 1), (1, 2), (0, 2)):
        larger = parts[:, above] > parts[:, below]
        assert (shares[larger, above] >= shares[larger, below] * (1 - 1e-12)).all()


def test_a_zero_is_replaced_and_the_others_keep_their_ratio() -> None:
    clay, silt, sand = close([0.0], [30.0], [70.0])[0]
    assert (clay, silt / sand) == (0.5, pytest.approx(30 / 70))
    assert silt == pytest.approx(30 * 0.995)


def test_a_fraction_that_shrinks_below_the_least_is_raised_too() -> None:
    np.testing.assert_allclose(close([0.0], [0.501], [99.499])[0], [0.5, 0.5, 99.0])


def test_fractions_far_from_100_are_scaled() -> None:
    np.testing.assert_allclose(close([100.0], [300.0], [600.0])[0], [10.0, 30.0, 60.0])


def test_rows_without_texture_are_missing() -> None:
    shares = close([0.0, np.nan, 20.0], [0.0, 40.0, 40.0], [0.0, 60.0, 40.0])
    assert np.isnan(shares[:2]).all()
    np.testing.assert_allclose(shares[2], [20.0, 40.0, 40.0])


@given(_tables)
def test_log_ratios_and_back(parts) -> None:
    shares = close(*parts[parts.sum(axis=1) > 0].T)
    np.testing.assert_allclose(inverse_alr(alr(*shares.T)), shares, rtol=1e-10)


@given(arrays(np.float64, st.tuples(st.integers(1, 20), st.just(2)), elements=st.floats(-1e6, 1e6)))
def test_every_pair_of_ratios_is_a_texture(ratios) -> None:
    shares = inverse_alr(ratios)
    assert ((shares >= 0) & (shares <= 100)).all()
    np.testing.assert_allclose(shares.sum(axis=1), 100.0, rtol=1e-12)


def test_log_ratios_by_hand() -> None:
    np.testing.assert_allclose(alr([20.0], [40.0], [40.0])[0], [np.log(0.5), 0.0], atol=1e-15)
    np.testing.assert_allclose(inverse_alr([[0.0, 0.0]])[0], [100 / 3] * 3)
    assert np.isnan(inverse_alr([[np.nan, 0.0]])).all()


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: close([-1.0], [50.0], [51.0]), "negative"),
        (lambda: close([np.inf], [50.0], [51.0]), "infinite"),
        (lambda: close([1.0, 2.0], [50.0], [51.0]), "shapes"),
        (lambda: close([1.0], [50.0], [49.0], least=34.0), "least fraction"),
        (lambda: alr([0.0], [50.0], [50.0]), "no log-ratio"),
        (lambda: inverse_alr([0.0, 1.0]), "log-ratios of shape"),
        (lambda: inverse_alr([[np.inf, 1.0]]), "log-ratios"),
    ],
)
def test_what_is_no_texture_is_refused(call, problem) -> None:
    with pytest.raises(InvalidInput, match=problem):
        call()


_shares = arrays(np.float64, st.tuples(st.integers(1, 30), st.just(3)), elements=st.floats(0.5, 100))


@given(_shares)
def test_hypres_and_fao_classes_by_their_definitions(parts) -> None:
    clay, silt, sand = 100 * parts.T / parts.sum(axis=1)
    hypres = np.select(
        [clay >= 60, clay >= 35, (clay < 18) & (sand > 65), sand < 15],
        ["very_fine", "fine", "coarse", "medium_fine"],
        "medium",
    )
    near = np.zeros(clay.size, bool)
    for values, limits in ((clay, (18, 35, 60)), (sand, (15, 65))):
        near |= np.min([np.abs(values - limit) for limit in limits], axis=0) < 1e-6
    found = np.array(class_keys("hypres"))[texture_class(clay, silt, sand, "hypres")]
    np.testing.assert_array_equal(found[~near], hypres[~near])


def test_known_soils_in_the_systems() -> None:
    names = {
        system: [
            class_keys(system)[i] for i in texture_class([3, 20, 45, 15], [3, 40, 30, 70], [94, 40, 25, 15], system)
        ]
        for system in SYSTEMS
    }
    assert names["usda"] == ["sand", "loam", "clay", "silt_loam"]
    assert names["fao"] == ["coarse", "medium", "fine", "medium"]
    assert names["hypres"][:3] == ["coarse", "medium", "fine"]
    # Ss: clay < 5 and silt (63 um) < 10; Ut3: clay 12 to 17, silt above 65.
    assert (names["ka5"][0], names["ka5"][3]) == ("Ss", "Ut3")


def test_the_silt_limit_is_minded() -> None:
    # 52 % silt up to 50 um is a silt loam; up to 63 um it holds less up to 50 um, and is a loam.
    clay, silt, sand = [20.0], [52.0], [28.0]
    assert class_keys("usda")[texture_class(clay, silt, sand, "usda", 50)[0]] == "silt_loam"
    assert class_keys("usda")[texture_class(clay, silt, sand, "usda", 63)[0]] == "loam"
    moved = move_silt_limit(clay, silt, sand, 63, 50)[0]
    assert moved[1] == pytest.approx(52 * np.log(50 / 2) / np.log(63 / 2))
    assert moved.sum() == pytest.approx(100)


@given(_shares)
def test_every_texture_has_a_class_in_every_system(parts) -> None:
    for system in SYSTEMS:
        assert (texture_class(*parts.T, system) >= 0).all()


def test_a_texture_that_is_missing_has_no_class() -> None:
    assert texture_class([np.nan, 0.0], [50, 0.0], [50, 0.0], "usda").tolist() == [-1, -1]
    assert np.isnan(move_silt_limit([np.nan], [50], [50], 63, 50)).all()


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: texture_class([20], [40], [40], "russian"), "no texture system"),
        (lambda: move_silt_limit([20], [40], [40], 20, 50), "silt up to 20"),
        (lambda: move_silt_limit([20], [40], [50], 63, 50), "cannot be converted"),
    ],
)
def test_unknown_systems_and_limits_are_refused(call, problem) -> None:
    with pytest.raises(InvalidInput, match=problem):
        call()


def test_titles_name_the_classes_in_order() -> None:
    assert class_titles("fao") == ("fine", "medium", "coarse")
    assert len(class_titles("ka5")) == len(class_keys("ka5")) == 31
