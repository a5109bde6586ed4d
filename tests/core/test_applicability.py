"""Area of applicability against the definition written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods import applicability
from cup4soil.methods.applicability import Applicability


def table(n: int = 60, f: int = 4, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, f)) * [1, 10, 0.1, 3][:f]
    return x.astype(np.float32).astype(np.float64)


WEIGHTS = np.array([0.7, 0.2, -0.1, 0.05])
FOLDS = np.arange(60) % 5


@pytest.fixture(scope="module")
def area() -> Applicability:
    return Applicability.fit(table(), WEIGHTS, FOLDS)


def by_definition(
    x: np.ndarray, weights: np.ndarray, folds: np.ndarray, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Training index and index of ``at``, by all pairwise distances."""
    scaled, placed = ((v - x.mean(axis=0)) / x.std(axis=0, ddof=1) * np.maximum(weights, 0) for v in (x, at))
    between = np.linalg.norm(scaled[:, None] - scaled[None], axis=2)
    mean = between[~np.eye(len(x), dtype=bool)].mean()
    other = np.where(folds[:, None] != folds[None], between, np.inf)
    return other.min(axis=1) / mean, np.linalg.norm(placed[:, None] - scaled[None], axis=2).min(axis=1) / mean


@pytest.mark.parametrize("rows", [7, 1024])
def test_index_and_threshold_equal_the_definition(monkeypatch, rows):
    monkeypatch.setattr(applicability, "_ROWS", rows)
    at = table(200, seed=1) * 1.5
    training, index = by_definition(table(), WEIGHTS, FOLDS, at)
    area = Applicability.fit(table(), WEIGHTS, FOLDS)
    np.testing.assert_allclose(area.training_di, training, rtol=1e-9)
    np.testing.assert_allclose(area.dissimilarity(at), index, rtol=1e-5)
    q1, q3 = np.percentile(training, [25, 75])
    assert area.threshold == pytest.approx(min(training.max(), q3 + 1.5 * (q3 - q1)))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_classes_and_clustered_folds_equal_the_definition(seed):
    """Index, threshold and density with one-hot columns, some of one value, and folds of unequal size."""
    random = np.random.default_rng(seed)
    classes = np.eye(4)[random.integers(0, 3, 120)]
    x = np.column_stack([table(120, 3, seed), classes])
    at = np.column_stack([table(80, 3, seed + 1) * 1.5, np.eye(4)[random.integers(0, 4, 80)]])
    weights = np.r_[random.uniform(0, 1, 3), random.uniform(-0.2, 0.6, 4)]
    folds = random.choice(5, 120, p=[0.5, 0.2, 0.1, 0.1, 0.1])
    varying = np.ptp(x, axis=0) > 0
    training, index = by_definition(x[:, varying], weights[varying], folds, at[:, varying])
    area = Applicability.fit(x, weights, folds)
    np.testing.assert_allclose(area.training_di, training, rtol=1e-12)
    q1, q3 = np.percentile(training, [25, 75])
    assert area.threshold == pytest.approx(min(training.max(), q3 + 1.5 * (q3 - q1)), rel=1e-12)
    found, density = area.dissimilarity_and_density(at)
    np.testing.assert_array_equal(found, area.dissimilarity(at))
    np.testing.assert_allclose(found, index, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(density > 0, area.inside(found))
    scaled, placed = (
        ((v - x.mean(axis=0)) / np.where(varying, x.std(axis=0, ddof=1), 1) * np.maximum(weights, 0) * varying)
        for v in (x, at)
    )
    between = np.linalg.norm(scaled[:, None] - scaled[None], axis=2)
    mean = between[~np.eye(len(x), dtype=bool)].mean()
    counts = (np.linalg.norm(placed[:, None] - scaled[None], axis=2) / mean <= area.threshold).sum(axis=1)
    np.testing.assert_array_equal(density, counts)


def test_threshold_is_casts_and_not_the_papers():
    """The paper takes a training index, the largest that is no outlier; CAST the whisker's length itself."""
    area = Applicability.fit(table(), WEIGHTS, FOLDS)
    q1, q3 = np.percentile(area.training_di, [25, 75])
    whisker = q3 + 1.5 * (q3 - q1)
    assert area.training_di.max() > whisker
    assert area.threshold == whisker
    assert area.threshold > area.training_di[area.training_di <= whisker].max()


def test_density_counts_the_samples_around_and_knows_what_is_missing(area):
    at = table(5, seed=3)
    at[0] += 1000
    at[1, 2] = np.nan
    index, density = area.dissimilarity_and_density(np.r_[at, table()])
    assert density.dtype == np.int32
    assert density[:2].tolist() == [0, -1]
    assert np.isnan(index[1])
    assert (density[5:] >= 1).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_training_points_have_index_zero(seed):
    x = table(seed=seed)
    area = Applicability.fit(x, WEIGHTS, FOLDS)
    assert (area.dissimilarity(x) == 0).all()
    assert area.inside(area.dissimilarity(x.astype(np.float32))).all()


@given(st.lists(st.integers(-8, 8), min_size=4, max_size=4), st.floats(0.01, 100))
@settings(max_examples=20, deadline=None)
def test_units_of_features_and_of_weights_do_not_matter(powers, factor):
    scale = 2.0 ** np.array(powers)
    x, at = table(), table(40, seed=2)
    one = Applicability.fit(x, WEIGHTS, FOLDS)
    other = Applicability.fit(x * scale, WEIGHTS * factor, FOLDS)
    np.testing.assert_allclose(other.dissimilarity(at * scale), one.dissimilarity(at), rtol=1e-5)
    assert other.threshold == pytest.approx(one.threshold)


def test_far_away_is_outside_and_missing_is_nan(area):
    at = table(5, seed=3)
    at[0] += 1000
    at[1, 2] = np.nan
    at[2, 0] = 1e300
    index = area.dissimilarity(at)
    assert index.dtype == np.float32
    assert np.isnan(index).tolist() == [False, True, True, False, False]
    assert area.inside(index)[:3].tolist() == [False, False, False]


def test_index_equal_to_the_threshold_is_inside(area):
    assert area.inside(np.float32(area.threshold))
    assert not area.inside(np.nextafter(np.float32(area.threshold), np.float32(np.inf)))


def test_weights_at_or_below_zero_switch_a_feature_off(area):
    at = table(30, seed=4)
    moved = at.copy()
    moved[:, 2] += 50
    np.testing.assert_array_equal(area.dissimilarity(moved), area.dissimilarity(at))
    assert area.weights[2] == 0


def test_without_any_positive_weight_all_features_weigh_the_same():
    x = table()
    none = Applicability.fit(x, [-1, 0, 0, -2], FOLDS)
    equal = Applicability.fit(x, np.ones(4), FOLDS)
    np.testing.assert_array_equal(none.dissimilarity(x + 1), equal.dissimilarity(x + 1))


def test_constant_features_are_dropped():
    x = table()
    padded = np.column_stack([x, np.full(60, 7.0)])
    one, other = Applicability.fit(x, WEIGHTS, FOLDS), Applicability.fit(padded, [*WEIGHTS, 9.0], FOLDS)
    assert other.weights[4] == 0
    at = table(20, seed=5)
    np.testing.assert_array_equal(
        other.dissimilarity(np.column_stack([at, np.full(20, 8.0)])), one.dissimilarity(at)
    )  # fmt: skip


def test_clustered_folds_widen_the_threshold():
    x = np.sort(table(60, 1), axis=0)
    scattered = Applicability.fit(x, [1.0], np.arange(60) % 2)
    blocked = Applicability.fit(x, [1.0], np.arange(60) // 30)
    assert blocked.threshold > scattered.threshold


def test_threads_do_not_matter_and_no_rows_are_no_error(area):
    at = table(500, seed=6)
    assert area.dissimilarity(at, threads=1).tobytes() == area.dissimilarity(at, threads=2).tobytes()
    assert area.dissimilarity(np.empty((0, 4))).shape == (0,)


@pytest.mark.parametrize(
    ("x", "weights", "folds", "error", "message"),
    [
        (table(), WEIGHTS, np.zeros(60), InvalidInput, "fewer than two folds"),
        (table(), WEIGHTS, FOLDS[:-1], InvalidInput, "one per row"),
        (table(), WEIGHTS[:-1], FOLDS, InvalidInput, "for 4 features"),
        (table(), [np.nan, 1, 1, 1], FOLDS, InvalidInput, "finite number"),
        (table()[:, 0], [1], FOLDS, InvalidInput, "shape"),
        (np.ones((60, 4)), WEIGHTS, FOLDS, InvalidSamples, "same features"),
        (np.r_[table()[:59], [[1, np.nan, 1, 1]]], WEIGHTS, FOLDS, InvalidSamples, "sample 59"),
    ],
)
def test_what_cannot_be_fitted(x, weights, folds, error, message):
    with pytest.raises(error, match=message):
        Applicability.fit(x, weights, folds)


def test_asking_wrongly_is_refused(area):
    with pytest.raises(InvalidInput, match="rows of 4 columns"):
        area.dissimilarity(np.ones((3, 5)))
    with pytest.raises(InvalidInput, match="threads"):
        area.dissimilarity(np.ones((3, 4)), threads=0)


def test_a_stored_area_says_the_same(area, tmp_path):
    np.savez(tmp_path / "area.npz", **area.to_arrays())
    with np.load(tmp_path / "area.npz", allow_pickle=False) as stored:
        back = Applicability.from_arrays(stored)
    at = table(100, seed=7)
    assert back.dissimilarity(at).tobytes() == area.dissimilarity(at).tobytes()
    assert back.threshold == area.threshold


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("points", np.ones((60, 4))),
        ("points", np.full((60, 3), np.nan)),
        ("points", np.ones(60)),
        ("points", np.ones((60, 3), np.float32)),
        ("weights", np.array([0.7, 0.2, -0.1, 0.05])),
        ("weights", np.zeros(4)),
        ("spread", np.zeros(4)),
        ("centre", np.zeros(3)),
        ("training_di", -np.ones(60)),
        ("training_di", np.ones(59)),
        ("mean_distance", np.zeros(1)),
        ("mean_distance", np.ones(2)),
    ],
)
def test_a_damaged_area_is_refused(area, name, value):
    with pytest.raises(InvalidInput, match="stored"):
        Applicability.from_arrays({**area.to_arrays(), name: value})


def test_a_missing_array_is_named(area):
    for name in area.to_arrays():
        rest = {key: array for key, array in area.to_arrays().items() if key != name}
        with pytest.raises(InvalidInput, match=f"no array '{name}'"):
            Applicability.from_arrays(rest)
