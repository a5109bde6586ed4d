"""Texture as a composition: sums, zeros, log-ratios and their way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cup4soil.errors import InvalidInput
from cup4soil.methods.texture import alr, close, inverse_alr

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
