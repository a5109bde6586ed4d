"""Conformal calibration against brute force, a coverage simulation and its promises."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.conformal import (
    LEAST_PER_STRATUM,
    Calibration,
    calibration_levels,
    cross_calibrated,
    cross_calibrated_levels,
    cross_calibrated_quantiles,
    least_samples,
)
from cup4soil.methods.validation import NOMINAL_LEVELS, central_intervals, coverage_curve, interval_quantiles


def world(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Observations, and an interval with its median that is too narrow and shifted."""
    random = np.random.default_rng(seed)
    middle = random.normal(size=n)
    return middle + random.gamma(2.0, 1.0, n), middle - 0.5, middle, middle + 0.5


def brute_offset(scores: list[float], share: Fraction) -> float:
    rank = math.ceil((len(scores) + 1) * share)
    return sorted(scores)[rank - 1]


@given(st.integers(9, 120), st.integers(0, 99), st.sampled_from(["1/2", "2/3", "4/5", "9/10"]))
def test_offset_equals_the_definition(n, seed, share):
    level = Fraction(share)
    y, low, _, high = world(n, seed)
    found = Calibration.fit(y, low, high, float(level))
    scores = [max(a - v, v - b) for v, a, b in zip(y, low, high, strict=True)]
    assert found.offset() == (brute_offset(scores, level), brute_offset(scores, level))
    assert found.counts.tolist() == [n]


@given(st.integers(19, 120), st.integers(0, 99))
def test_each_side_equals_the_definition(n, seed):
    y, low, _, high = world(n, seed)
    found = Calibration.fit(y, low, high, sides="each")
    share = Fraction(19, 20)
    assert found.offset() == (brute_offset(list(low - y), share), brute_offset(list(y - high), share))


@pytest.mark.parametrize("level", [0.05, 0.5, 0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("sides", ["both", "each"])
def test_least_samples_is_the_smallest_that_will_do(level, sides):
    share = Fraction(str(level)) if sides == "both" else (1 + Fraction(str(level))) / 2
    enough = least_samples(level, sides)
    assert math.ceil((enough + 1) * share) <= enough
    assert enough == 1 or math.ceil(enough * share) > enough - 1
    y, low, _, high = world(enough)
    Calibration.fit(y, low, high, level, sides=sides)
    with pytest.raises(InvalidSamples, match=f"at least {enough}"):
        Calibration.fit(y[1:], low[1:], high[1:], level, sides=sides)


def test_ninety_percent_needs_nine_and_nineteen():
    assert (least_samples(0.9), least_samples(0.9, "each"), least_samples(0.5)) == (9, 19, 1)


@pytest.mark.parametrize("sides", ["both", "each"])
@pytest.mark.parametrize("width", [0.5, 20.0])
def test_coverage_of_exchangeable_samples_holds(sides, width):
    """Over many calibrations the coverage is what theory says, for intervals too narrow and too wide."""
    random = np.random.default_rng(1)
    inside, n, repeats = 0, 40, 600
    for _ in range(repeats):
        y, middle = random.gamma(2.0, 1.0, (2, n + 10)) + np.array([[1.0], [0.0]])
        low, high = middle - width, middle + width
        calibration = Calibration.fit(y[:n], low[:n], high[:n], 0.9, sides=sides)
        a, b = calibration.apply(low[n:], middle[n:], high[n:])
        inside += int(((a <= y[n:]) & (y[n:] <= b)).sum())
    total = 10 * repeats
    # At least the level, and for one rank of n + 1 at most 2 / (n + 1) above it; rows of a repeat share their offset.
    error = 4 * math.sqrt(0.09 / total * 4)
    assert 0.9 - error <= inside / total
    if width < 1 or sides == "both":
        assert inside / total <= 0.9 + 2 / (n + 1) + error


@given(st.integers(0, 50), st.sampled_from(["both", "each"]))
def test_cross_calibration_equals_a_loop_over_the_folds(seed, sides):
    y, low, middle, high = world(90, seed)
    folds = np.random.default_rng(seed).integers(0, 3, 90)
    strata = np.arange(90) % 2
    down, up = cross_calibrated(y, low, high, folds, 0.8, strata, median=middle, least=20, sides=sides)
    for row in range(90):
        rest = folds != folds[row]
        part = Calibration.fit(y[rest], low[rest], high[rest], 0.8, strata[rest], least=20, sides=sides)
        expected = part.apply(low[row : row + 1], middle[row : row + 1], high[row : row + 1], strata[row : row + 1])
        assert (down[row], up[row]) == (expected[0][0], expected[1][0])


def quantile_world(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Observations, and quantiles of a distribution that is half as wide as theirs."""
    random = np.random.default_rng(seed)
    middle = random.normal(size=n)
    bounds = np.array([-1.1, -0.8, 0.0, 0.8, 1.1])
    return middle + random.normal(size=n), middle + bounds[:, None]


def test_every_interval_of_a_curve_is_calibrated_at_its_level():
    levels = (0.05, 0.1, 0.5, 0.9, 0.95)
    y, table = quantile_world(3000, 0)
    folds = np.arange(3000) % 5
    kept, found = cross_calibrated_quantiles(y, levels, table, folds)
    assert kept == levels
    np.testing.assert_array_equal(found[2], table[2])
    assert (np.diff(found, axis=0) >= 0).all()
    before, after = coverage_curve(y, levels, table), coverage_curve(y, kept, found)
    assert max(before.picp) < 0.75
    np.testing.assert_allclose(after.picp, after.nominal, atol=0.02)
    down, up = cross_calibrated(y, table[1], table[3], folds, 0.8, median=table[2])
    np.testing.assert_array_equal(found[[1, 3]], [down, up])


def tied_world(n: int, seed: int) -> tuple[np.ndarray, tuple[float, ...], np.ndarray]:
    """Observations of few values, levels, and the quantiles of their distribution; it differs from row to row."""
    random = np.random.default_rng(seed)
    values = np.array([2.5, 10.0, 14.5, 20.0, 30.0, 40.0])
    weights = random.dirichlet(np.full(6, 1.5), n)
    y = values[(random.random(n)[:, None] > weights.cumsum(axis=1)).sum(axis=1).clip(0, 5)]
    # Known less well than they are: their mixture with what is common to all.
    seen = (0.75 * weights + 0.25 * weights.mean(axis=0)).cumsum(axis=1)
    levels = interval_quantiles()
    return y, levels, np.stack([values[(seen < level).sum(axis=1).clip(0, 5)] for level in levels])


@pytest.mark.parametrize("seed", range(4))
def test_values_that_tie_are_calibrated_by_another_interval(seed):
    y, levels, table = tied_world(2000, seed)
    folds = np.arange(2000) % 10
    low, middle, high = (table[levels.index(each)] for each in (0.05, 0.5, 0.95))
    plain = cross_calibrated(y, low, high, folds, median=middle)
    down, up = cross_calibrated_levels(y, levels, table, folds)
    assert np.mean((plain[0] <= y) & (y <= plain[1])) > 0.94
    assert 0.88 < np.mean((down <= y) & (y <= up)) < 0.935
    assert (up - down).mean() < (plain[1] - plain[0]).mean()
    found = Calibration.fit_levels(y, levels, table)
    assert found.base is not None
    assert found.base < 0.9
    assert found.quantiles == pytest.approx(((1 - found.base) / 2, 0.5, (1 + found.base) / 2))
    low, high = (table[levels.index(each)] for each in found.quantiles[::2])
    rank = math.ceil(2001 * Fraction(9, 10))
    assert ((low <= y) & (y <= high)).sum() >= rank
    narrower = levels.index(found.quantiles[0]) + 1
    inside = (table[narrower] <= y) & (y <= table[-narrower - 1])
    assert inside.sum() < rank
    assert found.offset() == Calibration.fit(y, low, high).offset()
    assert Calibration.from_arrays(found.to_arrays()).quantiles == found.quantiles


@pytest.mark.parametrize("sides", ["both", "each"])
def test_values_that_do_not_tie_are_calibrated_at_their_level(sides):
    y, table = quantile_world(500, 3)
    levels, folds = (0.05, 0.1, 0.5, 0.9, 0.95), np.arange(500) % 5
    found = Calibration.fit_levels(y, levels, table, sides=sides)
    assert found.base == 0.9
    assert found.quantiles == (0.05, 0.5, 0.95)
    assert found.offset() == Calibration.fit(y, table[0], table[4], sides=sides).offset()
    pairs = zip(
        cross_calibrated_levels(y, levels, table, folds, sides=sides),
        cross_calibrated(y, table[0], table[4], folds, median=table[2], sides=sides),
        strict=True,
    )
    for one, other in pairs:
        np.testing.assert_array_equal(one, other)


def test_calibration_levels_bound_intervals_by_hundredths():
    levels = calibration_levels()
    nominal = {round(levels[high] - levels[low], 9) for low, high in central_intervals(levels)}
    assert nominal >= {round(step / 100, 2) for step in range(50, 100)} | set(NOMINAL_LEVELS)
    assert set(interval_quantiles()) <= set(levels)
    assert 0.5 in levels


def test_levels_that_do_not_serve_are_refused():
    y, table = quantile_world(60, 0)
    with pytest.raises(InvalidInput, match=r"no interval of 0\.9"):
        Calibration.fit_levels(y, (0.1, 0.2, 0.5, 0.8, 0.9), table)
    with pytest.raises(InvalidInput, match="ascending"):
        Calibration.fit_levels(y, (0.95, 0.9, 0.5, 0.1, 0.05), table)
    with pytest.raises(InvalidInput, match="median"):
        cross_calibrated_levels(y, (0.05, 0.95), table[[0, 4]], np.arange(60) % 2)
    with pytest.raises(InvalidInput, match="at least two"):
        cross_calibrated_levels(y, (0.05, 0.1, 0.5, 0.9, 0.95), table, np.zeros(60))
    with pytest.raises(InvalidSamples, match="at least 9"):
        Calibration.fit_levels(y[:8], (0.05, 0.1, 0.5, 0.9, 0.95), table[:, :8])


def test_levels_the_samples_are_too_few_for_are_left_out():
    y, table = quantile_world(14, 0)
    kept, found = cross_calibrated_quantiles(y, (0.05, 0.1, 0.5, 0.9, 0.95), table, np.arange(14) % 2)
    assert kept == (0.1, 0.5, 0.9)
    assert found.shape == (3, 14)
    none, only = cross_calibrated_quantiles(y, (0.05, 0.5, 0.95), table[[0, 2, 4]], np.arange(14) % 2)
    assert none == (0.5,)
    np.testing.assert_array_equal(only, table[[2]])
    with pytest.raises(InvalidInput, match="one row per level"):
        cross_calibrated_quantiles(y, (0.5,), table, np.arange(14) % 2)


def test_the_offset_of_a_row_has_not_seen_its_fold():
    y, low, _, high = world(60)
    folds = np.arange(60) % 3
    one = cross_calibrated(y, low, high, folds)
    other = cross_calibrated(np.where(folds == 0, y + 1000.0, y), low, high, folds)
    np.testing.assert_array_equal(one[0][folds == 0], other[0][folds == 0])
    assert (one[0][folds != 0] != other[0][folds != 0]).all()


def test_without_a_median_a_narrowed_interval_stops_at_its_middle():
    y, low, _, high = np.zeros(40), np.full(40, -3.0), np.zeros(40), np.full(40, 5.0)
    down, up = cross_calibrated(y, low, high, np.arange(40) % 4)
    np.testing.assert_array_equal(down, 0.0)
    np.testing.assert_array_equal(up, 2.0)


@given(st.floats(-10, 10), st.floats(-10, 10), st.integers(0, 50))
def test_order_is_kept_whatever_the_offsets(down, up, seed):
    low, middle, high = np.sort(np.random.default_rng(seed).normal(size=(3, 30)), axis=0)
    counts, none = np.array([30]), np.empty(0, np.int64)
    calibration = Calibration(0.9, "each", np.array([down]), np.array([up]), counts, none, none)
    a, b = calibration.apply(low, middle, high)
    assert (a <= middle).all()
    assert (middle <= b).all()
    if down >= 0 and up >= 0:
        np.testing.assert_array_equal(a, low - down)
        np.testing.assert_array_equal(b, high + up)


def test_strata_get_their_own_offset_and_small_ones_are_pooled():
    y, low, middle, high = world(300)
    strata = np.r_[np.full(150, 7), np.full(120, -2), np.full(30, 5)]
    y[strata == 7] += 50
    found = Calibration.fit(y, low, high, strata=strata)
    assert (found.strata.tolist(), found.pooled.tolist(), found.counts.tolist()) == ([-2, 7], [5], [300, 120, 150])
    for stratum in (7, -2):
        own = Calibration.fit(*(column[strata == stratum] for column in (y, low, high)))
        assert found.offset(np.array([stratum]))[0] == own.offset()[0]
    assert found.offset(np.array([[5, 99]]))[1].tolist() == [[found.upper[0]] * 2]
    a, b = found.apply(low[:2], middle[:2], high[:2], strata=[7, 5])
    np.testing.assert_array_equal(b - high[:2], [found.upper[2], found.upper[0]])
    np.testing.assert_array_equal(low[:2] - a, [found.lower[2], found.lower[0]])
    assert LEAST_PER_STRATUM == 50


def test_strata_too_small_for_the_level_are_pooled_whatever_is_asked():
    y, low, _, high = world(40)
    found = Calibration.fit(y, low, high, strata=np.arange(40) // 32, least=1)
    assert (found.strata.tolist(), found.pooled.tolist()) == ([0], [1])


def test_missing_rows_are_left_out_and_stay_missing():
    y, low, middle, high = world(60)
    y[3], low[4], high[5] = np.nan, np.nan, np.nan
    known = ~np.isnan(y + low + high)
    assert Calibration.fit(y, low, high).offset() == Calibration.fit(y[known], low[known], high[known]).offset()
    down, up = cross_calibrated(y, low, high, np.arange(60) % 2, median=middle)
    assert np.isnan(down).nonzero()[0].tolist() == [4]
    assert np.isnan(up).nonzero()[0].tolist() == [5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level": 1.0}, "level 1"),
        ({"level": math.nan}, "level nan"),
        ({"sides": "left"}, "'left' sides"),
        ({"least": 0}, "0 samples"),
        ({"strata": np.zeros(60)}, "float64"),
        ({"strata": np.zeros(3, int)}, "whole numbers"),
        ({"observed": np.zeros(59)}, "one of each per row"),
        ({"observed": np.full(60, np.inf)}, "infinite"),
        ({"lower": np.full(60, 1e9)}, "lower bound"),
    ],
)
def test_what_cannot_be_calibrated(change, message):
    y, low, _, high = world(60)
    with pytest.raises(InvalidInput, match=message):
        Calibration.fit(**{"observed": y, "lower": low, "upper": high} | change)


def test_applying_wrongly_is_refused():
    y, low, middle, high = world(60)
    calibration = Calibration.fit(y, low, high)
    with pytest.raises(InvalidInput, match="shapes"):
        calibration.apply(low, middle[1:], high)
    with pytest.raises(InvalidInput, match="outside its interval"):
        calibration.apply(low, high + 1, high)
    with pytest.raises(InvalidInput, match="whole numbers"):
        calibration.apply(low, middle, high, np.zeros(2, int))
    with pytest.raises(InvalidInput, match="at least two"):
        cross_calibrated(y, low, high, np.zeros(60))
    with pytest.raises(InvalidInput, match="per row"):
        cross_calibrated(y, low, high, np.zeros(59))


def test_a_stored_calibration_says_the_same(tmp_path):
    y, low, middle, high = world(300)
    strata = np.arange(300) % 4
    for sides in ("both", "each"):
        calibration = Calibration.fit(y, low, high, 0.8, strata, sides=sides)
        np.savez(tmp_path / "c.npz", **calibration.to_arrays())
        with np.load(tmp_path / "c.npz", allow_pickle=False) as stored:
            back = Calibration.from_arrays(stored)
        assert (back.level, back.sides) == (0.8, sides)
        for one, other in zip(
            calibration.apply(low, middle, high, strata), back.apply(low, middle, high, strata), strict=True
        ):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("settings", np.array([1.0, 0.0, 0.9])),
        ("settings", np.array([0.9, 2.0, 0.9])),
        ("settings", np.array([0.9, 0.0, 1.0])),
        ("settings", np.array([0.9, 0.0])),
        ("lower", np.array([np.nan, 1.0, 1.0])),
        ("lower", np.zeros(2)),
        ("upper", np.zeros(3, np.float32)),
        ("counts", np.array([60, 8, 60])),
        ("strata", np.array([1, 0])),
        ("pooled", np.array([0])),
    ],
)
def test_a_damaged_calibration_is_refused(name, value):
    y, low, _, high = world(120)
    arrays = Calibration.fit(y, low, high, strata=np.arange(120) % 2).to_arrays()
    with pytest.raises(InvalidInput, match="stored"):
        Calibration.from_arrays({**arrays, name: value})
    with pytest.raises(InvalidInput, match="no array"):
        Calibration.from_arrays({key: array for key, array in arrays.items() if key != name})
