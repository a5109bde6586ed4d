"""Depth harmonisation against a centimetre-by-centimetre oracle."""

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.profiles import harmonise, overlapping

TOP = Depth(0, 20)


@st.composite
def layered(draw: st.DrawFn) -> tuple[list[int], list[int], list[float]]:
    """One profile of whole-centimetre layers with gaps."""
    edges = sorted(draw(st.sets(st.integers(0, 60), min_size=2, max_size=8)))
    pairs = list(itertools.pairwise(edges))
    kept = draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True))
    values = draw(st.lists(st.floats(0, 100), min_size=len(kept), max_size=len(kept)))
    return [a for a, _ in kept], [b for _, b in kept], values


@given(layered(), st.integers(0, 30), st.integers(1, 30))
def test_mean_and_coverage_equal_sampling_every_centimetre(profile, top, thickness):
    upper, lower, values = profile
    depth = Depth(top, top + thickness)
    at = [v for a, b, v in zip(upper, lower, values, strict=True) for cm in range(a, b) if top <= cm < top + thickness]
    result = harmonise(["p"] * len(upper), upper, lower, np.array(values)[:, None], depth, minimum_coverage=1e-6)
    if not at:
        assert result.ids == ()
        assert dict(result.rejected) == {"p": 0.0}
        return
    assert result.values[0, 0] == pytest.approx(np.mean(at), abs=1e-9)
    assert result.coverage[0] == pytest.approx(len(at) / thickness)
    assert min(values) - 1e-9 <= result.values[0, 0] <= max(values) + 1e-9


@given(layered(), st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(profile, random):
    upper, lower, values = profile
    rows = list(range(len(upper)))
    random.shuffle(rows)
    a = harmonise(["p"] * len(rows), upper, lower, np.array(values)[:, None], TOP, minimum_coverage=1e-6)
    b = harmonise(
        ["p"] * len(rows), [upper[i] for i in rows], [lower[i] for i in rows],
        np.array([values[i] for i in rows])[:, None], TOP, minimum_coverage=1e-6,
    )  # fmt: skip
    np.testing.assert_allclose(a.values, b.values, rtol=1e-12)


def test_mass_is_kept_when_intervals_tile_the_profile():
    ids, upper, lower = ["a"] * 3, [0, 7, 31], [7, 31, 60]
    values = np.array([[40.0], [11.0], [2.0]])
    parts = [harmonise(ids, upper, lower, values, Depth(a, b)).values[0, 0] * (b - a) for a, b in ((0, 20), (20, 60))]
    assert sum(parts) == pytest.approx(7 * 40 + 24 * 11 + 29 * 2)


def test_profiles_keep_their_order_and_thin_ones_are_rejected_with_their_share():
    result = harmonise(["b", "a", "b", "c"], [0, 0, 10, 15], [10, 10, 20, 40], np.array([[1.0], [5], [3], [9]]), TOP)
    assert result.ids == ("b", "a")
    assert result.values.tolist() == [[2.0], [5.0]]
    assert result.coverage.tolist() == [1.0, 0.5]
    assert dict(result.rejected) == {"c": 0.25}


def test_a_layer_with_any_missing_value_counts_as_uncovered_for_all_columns():
    values = np.array([[10.0, 90.0], [30.0, np.nan]])
    result = harmonise(["a", "a"], [0, 10], [10, 20], values, TOP)
    assert result.values.tolist() == [[10.0, 90.0]]
    assert result.coverage.tolist() == [0.5]


def test_no_rows_give_no_profiles():
    result = harmonise([], [], [], np.empty((0, 2)), TOP)
    assert result.ids == ()
    assert result.values.shape == (0, 2)


@pytest.mark.parametrize(
    ("upper", "lower", "value", "message"),
    [
        ([0, 9.98], [10, 20], 1.0, "overlap"),
        ([0, 0], [20, 20], 1.0, "overlap"),
        ([0, 30], [10, 20], 1.0, "reaches from 30 to 20 cm"),
        ([-5, 10], [10, 20], 1.0, "reaches from -5"),
        ([0, 10], [10, 10], 1.0, "reaches from 10 to 10"),
        ([0, float("nan")], [10, 20], 1.0, "nan"),
        ([0, 10], [10, float("inf")], 1.0, "inf"),
        ([0, 10], [10, 20], float("inf"), "infinite value"),
    ],
)
def test_faulty_layers_are_named(upper, lower, value, message):
    with pytest.raises(InvalidSamples, match=message):
        harmonise(["p", "p"], upper, lower, np.array([[1.0], [value]]), TOP)


def test_an_overlap_within_the_tolerance_is_let_pass():
    result = harmonise(["p", "p"], [0, 9.995], [10, 20], np.array([[1.0], [3.0]]), TOP)
    assert result.coverage[0] == 1.0
    assert result.values[0, 0] == pytest.approx(2.0, abs=1e-3)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_impossible_coverage_is_refused(share):
    with pytest.raises(InvalidInput, match="minimum coverage"):
        harmonise(["p"], [0], [10], np.ones((1, 1)), TOP, minimum_coverage=share)


@pytest.mark.parametrize(("upper", "values"), [([0, 1], np.ones((1, 1))), ([0], np.ones(1)), ([0], np.ones((2, 1)))])
def test_shapes_that_do_not_agree_are_refused(upper, values):
    with pytest.raises(InvalidInput):
        harmonise(["p"], upper, [10], values, TOP)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30), st.integers(1, 10)), max_size=12))
def test_overlapping_names_every_layer_that_reaches_into_an_earlier_one(rows):
    ids, upper, lower = [r[0] for r in rows], [r[1] for r in rows], [r[1] + r[2] for r in rows]
    pairs = overlapping(ids, upper, lower)
    order = sorted(range(len(rows)), key=lambda i: (ids[i], upper[i], lower[i], i))

    def shared(i: int, j: int) -> bool:
        return ids[i] == ids[j] and min(lower[i], lower[j]) > max(upper[i], upper[j])

    expected = {j for at, j in enumerate(order) if any(shared(i, j) for i in order[:at])}
    assert {later for _, later in pairs} == expected
    assert len(pairs) == len(expected)
    assert all(shared(*pair) for pair in pairs)


def test_overlapping_passes_over_missing_depths():
    assert overlapping(["p"] * 3, [0, np.nan, 5], [10, 20, 15]) == [(0, 2)]


def test_real_profiles_harmonise(shared_data: Path):
    with (shared_data / "cdsm-peterborough" / "Analytical.csv").open(encoding="utf-8-sig") as stream:
        rows = [row for row in csv.DictReader(stream) if row["OC"] not in ("", "NA")]
    upper, lower = (np.array([float(row[name]) for row in rows]) for name in ("UPPER", "LOWER"))
    ids = [row["SITE_ID"] for row in rows]
    bad = {i for pair in overlapping(ids, upper, lower) for i in pair} | set(np.flatnonzero(lower <= upper).tolist())
    keep = [i for i in range(len(rows)) if i not in bad]
    oc = np.array([[float(rows[i]["OC"])] for i in keep])
    result = harmonise([ids[i] for i in keep], upper[keep], lower[keep], oc, TOP)
    assert len(result.ids) + len(result.rejected) == len({ids[i] for i in keep})
    assert len(result.ids) > 80
    assert oc.min() <= result.values.min() <= result.values.max() <= oc.max()
