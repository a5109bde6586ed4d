"""The equal-area spline against a direct minimisation and an analytic profile, and what has to hold of any layers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput
from cup4soil.methods.profiles import harmonise
from cup4soil.methods.spline import EqualAreaSpline


@st.composite
def layers(draw: st.DrawFn, most: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Layers with gaps, and two columns of values."""
    edges = sorted(draw(st.sets(st.integers(0, 150), min_size=2, max_size=most + 1)))
    pairs = list(itertools.pairwise(edges))
    kept = sorted(draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True)))
    values = draw(st.lists(st.floats(0, 100), min_size=2 * len(kept), max_size=2 * len(kept)))
    upper, lower = np.array(kept, dtype=float).T
    return upper, lower, np.array(values).reshape(-1, 2)


def at(spline: EqualAreaSpline, depth: np.ndarray) -> np.ndarray:
    """Values of the first curve at depths, by the segments."""
    thick = np.flatnonzero(spline.thickness_cm > 0)
    order = thick[np.argsort(spline.start_cm[thick])]
    j = order[np.searchsorted(spline.start_cm[order], depth, side="right") - 1]
    t = depth - spline.start_cm[j]
    return spline.value[j, 0] + spline.slope[j, 0] * t + spline.curvature[j, 0] * t**2 / 2


def brute_force(upper: np.ndarray, lower: np.ndarray, y: np.ndarray, smoothing: float, step: float) -> np.ndarray:
    """The minimum of the same functional over curves with a value at every ``step``; trapezoids for the means."""
    depth = np.arange(upper[0], lower[-1] + step / 2, step)
    means = np.zeros((upper.size, depth.size))
    for row, (a, b) in zip(means, zip(upper, lower, strict=True), strict=True):
        inside = np.flatnonzero((depth > a - step / 2) & (depth < b + step / 2))
        row[inside] = 1.0
        row[inside[[0, -1]]] = 0.5
        row /= row.sum()
    slope = np.diff(np.eye(depth.size), axis=0) / step
    system = means.T @ means / upper.size + smoothing * step * slope.T @ slope
    return np.linalg.solve(system, means.T @ y / upper.size)


@pytest.mark.parametrize("smoothing", [0.01, 0.1, 10.0])
def test_it_minimises_the_functional(smoothing: float) -> None:
    upper, lower = np.array([0.0, 10, 40, 60]), np.array([10.0, 30, 60, 100])
    values = np.array([40.0, 22, 6, 3])
    curve = brute_force(upper, lower, values, smoothing, 0.1)
    spline = EqualAreaSpline.fit(upper, lower, values[:, None], smoothing)
    depth = np.arange(0, 100, 0.1)
    np.testing.assert_allclose(at(spline, depth), curve[:-1], atol=5e-3)
    assert spline.mean(0, 20)[0] == pytest.approx(np.mean((curve[:200] + curve[1:201]) / 2), abs=1e-3)


@given(layers())
def test_without_smoothing_each_layer_keeps_its_mass(profile: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    upper, lower, values = profile
    for smoothing, tolerance in ((0.0, 1e-7), (1e-9, 1e-3)):
        spline = EqualAreaSpline.fit(upper, lower, values, smoothing)
        for i in range(upper.size):
            np.testing.assert_allclose(spline.mean(upper[i], lower[i]), values[i], atol=tolerance)


@given(layers(), st.floats(0, 100))
def test_smooth_within_and_flat_at_both_ends(
    profile: tuple[np.ndarray, np.ndarray, np.ndarray], smoothing: float
) -> None:
    upper, lower, values = profile
    spline = EqualAreaSpline.fit(upper, lower, values, smoothing)
    thick = np.flatnonzero(spline.thickness_cm > 0)
    order = thick[np.argsort(spline.start_cm[thick])]
    t = spline.thickness_cm[order, None]
    end = spline.value[order] + spline.slope[order] * t + spline.curvature[order] * t**2 / 2
    slope = spline.slope[order] + spline.curvature[order] * t
    np.testing.assert_allclose(end[:-1], spline.value[order][1:], atol=1e-6)
    np.testing.assert_allclose(slope[:-1], spline.slope[order][1:], atol=1e-6)
    np.testing.assert_allclose([slope[-1], spline.slope[order][0]], 0, atol=1e-6)


@given(layers(), st.floats(0, 100))
def test_departures_of_the_layers_cancel(profile: tuple[np.ndarray, np.ndarray, np.ndarray], smoothing: float) -> None:
    upper, lower, values = profile
    spline = EqualAreaSpline.fit(upper, lower, values, smoothing)
    means = np.array([spline.mean(a, b) for a, b in zip(upper, lower, strict=True)])
    np.testing.assert_allclose((means - values).sum(axis=0), 0, atol=1e-6)


@given(layers(), st.floats(0, 100))
def test_it_is_linear_so_that_fractions_keep_their_sum(
    profile: tuple[np.ndarray, np.ndarray, np.ndarray], smoothing: float
) -> None:
    upper, lower, values = profile
    fractions = np.column_stack([values, 100 - values.sum(axis=1)])
    spline = EqualAreaSpline.fit(upper, lower, fractions, smoothing)
    assert spline.mean(upper[0], lower[-1]).sum() == pytest.approx(100, abs=1e-6)


@given(layers(), st.integers(0, 140), st.integers(1, 60))
def test_means_equal_sums_of_many_points(
    profile: tuple[np.ndarray, np.ndarray, np.ndarray], top: int, thickness: int
) -> None:
    upper, lower, values = profile
    spline = EqualAreaSpline.fit(upper, lower, values)
    begin, end = max(top, upper[0]), min(top + thickness, lower[-1])
    got = spline.mean(top, top + thickness)
    if begin >= end:
        assert np.isnan(got).all()
        return
    depth = begin + (np.arange(4000) + 0.5) * (end - begin) / 4000
    assert got[0] == pytest.approx(at(spline, depth).mean(), abs=1e-2 + 1e-4 * abs(got[0]))


def exponential(a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    """Mean of 2 + 40 exp(-z / 30) from a to b."""
    return np.asarray(2 + 40 * 30 * (np.exp(-np.asarray(a) / 30) - np.exp(-np.asarray(b) / 30)) / (np.asarray(b) - a))


def test_an_exponential_profile_is_met_better_than_by_the_weighted_mean() -> None:
    upper, lower = np.array([0.0, 12, 35, 60]), np.array([12.0, 35, 60, 110])
    values = exponential(upper, lower)[:, None]
    errors = {}
    for method in ("weighted", "spline"):
        errors[method] = [
            abs(harmonise(["p"] * 4, upper, lower, values, depth, method=method).values[0, 0]
                - float(exponential(depth.upper_cm, depth.lower_cm)))
            for depth in (Depth(0, 5), Depth(5, 15), Depth(15, 30), Depth(30, 60), Depth(60, 100))
        ]  # fmt: skip
    assert np.mean(errors["spline"]) < 0.8 * np.mean(errors["weighted"])
    assert max(errors["spline"]) < 0.7 * max(errors["weighted"])


def test_one_layer_is_a_constant() -> None:
    spline = EqualAreaSpline.fit(np.array([5.0]), np.array([25.0]), np.array([[7.0, 8.0]]))
    assert spline.mean(0, 10).tolist() == [7, 8]
    assert np.isnan(spline.mean(30, 40)).all()


def test_what_leaves_the_limits_is_cut_and_told() -> None:
    """A peaty topsoil over sand: the curve swings below zero."""
    upper, lower, values = [0, 20, 25, 45], [20, 25, 45, 100], np.array([[450.0], [5], [2], [1]])
    free = harmonise(["p"] * 4, upper, lower, values, Depth(25, 45), method="spline", smoothing=0.0)
    assert free.values[0, 0] == pytest.approx(2.0)
    below = harmonise(["p"] * 4, upper, lower, values, Depth(22, 30), method="spline")
    assert below.values[0, 0] < 0
    assert below.cut == ()
    cut = harmonise(["p"] * 4, upper, lower, values, Depth(22, 30), method="spline", limits=[(0, 600)])
    assert cut.values.tolist() == [[0.0]]
    assert cut.cut == ("p",)


def test_order_of_rows_and_other_profiles_do_not_matter() -> None:
    ids, upper, lower = ["b", "a", "b", "a", "c"], [0, 0, 10, 10, 60], [10, 10, 30, 40, 90]
    values = np.array([[9.0], [5], [4], [2], [1]])
    both = harmonise(ids, upper, lower, values, Depth(0, 20), method="spline")
    assert both.ids == ("b", "a")
    assert dict(both.rejected) == {"c": 0.0}
    alone = harmonise(["a", "a"], [10, 0], [40, 10], np.array([[2.0], [5]]), Depth(0, 20), method="spline")
    assert alone.values[0, 0] == pytest.approx(both.values[1, 0])


def test_a_layer_without_value_is_bridged() -> None:
    values = np.array([[10.0], [np.nan], [4.0]])
    made = harmonise(["p"] * 3, [0, 10, 20], [10, 20, 30], values, Depth(0, 30), method="spline", smoothing=0.0)
    assert made.coverage[0] == pytest.approx(2 / 3)
    assert made.values[0, 0] == pytest.approx(7.0)


@pytest.mark.parametrize("smoothing", [-0.1, float("nan"), float("inf")])
def test_impossible_smoothing_is_refused(smoothing: float) -> None:
    with pytest.raises(InvalidInput, match="smoothing"):
        harmonise(["p"], [0], [10], np.ones((1, 1)), Depth(0, 10), method="spline", smoothing=smoothing)


def test_limits_have_to_fit() -> None:
    with pytest.raises(InvalidInput, match="limits of shape"):
        harmonise(["p"], [0], [10], np.ones((1, 2)), Depth(0, 10), limits=[(0, 1)])
    with pytest.raises(InvalidInput, match="no layers"):
        EqualAreaSpline.fit(np.empty(0), np.empty(0), np.empty((0, 1)))
