"""Landscape figures against brute force, and on maps whose pattern or fault is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage, stats

from cup4soil.errors import InvalidInput
from cup4soil.methods.border_steps import EdgeTally, StepProfile
from cup4soil.methods.landscape import (
    SLOPE_POSITIONS,
    class_means,
    class_of,
    explained,
    quantile_edges,
    slope_positions,
)

_VALUES = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=12),
    elements=st.one_of(st.just(np.nan), st.floats(-100, 100, width=32)),
)  # fmt: skip


def smooth(seed: int, shape: tuple[int, int] = (120, 150), sigma: float = 6) -> np.ndarray:
    """A random field whose neighbours are alike, with mean 0 and standard deviation 1."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return (field - field.mean()) / field.std()


class TestClasses:
    @given(_VALUES, st.integers(0, 1000))
    def test_means_and_share_equal_those_of_loops(self, values: np.ndarray, seed: int) -> None:
        classes = np.random.default_rng(seed).integers(-1, 4, values.shape)
        kept = {int(code): values[(classes == code) & np.isfinite(values)] for code in np.unique(classes) if code >= 0}
        kept = {code: group for code, group in kept.items() if group.size}
        found = class_means(values, classes)
        assert [each.code for each in found] == list(kept)
        for each in found:
            assert each.n == kept[each.code].size
            assert each.mean == pytest.approx(kept[each.code].mean(), abs=1e-9)
            if each.n > 1:
                assert each.sd == pytest.approx(kept[each.code].std(ddof=1), abs=1e-6)
        whole = np.concatenate(list(kept.values())) if kept else np.empty(0)
        if whole.size and np.ptp(whole) > 1e-3:
            within = sum(np.sum((group - group.mean()) ** 2) for group in kept.values())
            assert explained(values, classes).share == pytest.approx(
                1 - within / np.sum((whole - whole.mean()) ** 2), abs=1e-9
            )

    def test_share_is_that_of_an_analysis_of_variance(self) -> None:
        random = np.random.default_rng(0)
        classes = random.integers(0, 3, 200)
        values = random.normal(size=200) + classes
        f = stats.f_oneway(*(values[classes == code] for code in range(3))).statistic
        assert explained(values, classes).share == pytest.approx(f * 2 / (f * 2 + 197))

    def test_one_value_explains_nothing_and_is_not_defined(self) -> None:
        assert np.isnan(explained(np.ones(5), np.arange(5)).share)
        assert np.isnan(explained(np.full(5, np.nan), np.arange(5)).share)

    def test_pattern_that_follows_the_classes_is_told_from_chance(self) -> None:
        terrain = smooth(1)
        classes = class_of(terrain, quantile_edges(terrain))
        follows = explained(terrain + 0.5 * smooth(2), classes, shifts=49)
        alone = explained(smooth(3), classes, shifts=49)
        assert follows.share > 0.6 > 0.3 > follows.chance
        assert follows.p == pytest.approx(1 / 50)
        assert alone.p > 0.05
        # Patches explain something by chance: that is what the shifts are for.
        assert 0.01 < alone.chance < 0.3

    def test_shifts_repeat(self) -> None:
        classes = class_of(smooth(1), quantile_edges(smooth(1)))
        assert explained(smooth(2), classes, shifts=9, seed=3) == explained(smooth(2), classes, shifts=9, seed=3)

    @pytest.mark.parametrize("shape", [(1, 7), (2, 2), (3, 1)])
    def test_small_grids_can_be_shifted(self, shape: tuple[int, int]) -> None:
        values = np.arange(np.prod(shape), dtype=float).reshape(shape)
        assert 0 < explained(values, (values > 1).astype(int), shifts=5).p <= 1

    def test_shapes_have_to_agree(self) -> None:
        with pytest.raises(InvalidInput, match="shape"):
            class_means(np.ones(3), np.zeros(4, int))
        with pytest.raises(InvalidInput, match="dimensions"):
            explained(np.arange(3.0), np.arange(3), shifts=3)


class TestQuantileClasses:
    @given(hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-50, 50, width=16)), st.integers(2, 12))
    def test_no_class_is_empty_and_order_is_kept(self, values: np.ndarray, classes: int) -> None:
        edges = quantile_edges(values, classes)
        found = class_of(values, edges)
        assert set(found) == set(range(edges.size + 1))
        order = np.argsort(values, kind="stable")
        assert (np.diff(found[order]) >= 0).all()

    def test_classes_are_equally_large(self) -> None:
        values = np.random.default_rng(0).normal(size=1000)
        assert np.bincount(class_of(values, quantile_edges(values))).tolist() == [100] * 10

    def test_missing_has_no_class(self) -> None:
        assert class_of(np.array([np.nan, 1.0]), np.array([0.5])).tolist() == [-1, 1]
        with pytest.raises(InvalidInput, match="values"):
            quantile_edges(np.array([np.nan]))


class TestSlopePositions:
    def test_positions(self) -> None:
        tpi = np.array([-1.5, -0.7, 0.0, 0.0, 0.7, 1.5, np.nan])
        found = slope_positions(tpi, np.array([0, 0, 2, 9, 0, 0, 3.0]))
        assert [SLOPE_POSITIONS[code] for code in found[:6]] == [
            "valley", "lower slope", "flat", "middle slope", "upper slope", "ridge",
        ]  # fmt: skip
        assert found[6] == -1
        # In units of the standard deviation: the unit of the index does not matter.
        assert (slope_positions(100 * tpi, np.array([0, 0, 2, 9, 0, 0, 3.0])) == found).all()

    def test_plain_is_flat(self) -> None:
        assert (slope_positions(np.zeros((3, 3)), np.zeros((3, 3))) == SLOPE_POSITIONS.index("flat")).all()


def profile(values: np.ndarray, axis: int, block: int) -> StepProfile:
    """The profile filled in blocks of this many cells, as a large map is."""
    found = StepProfile(values.shape[axis])
    for row in range(0, values.shape[0], block):
        for col in range(0, values.shape[1], block):
            overlap = [1 if axis == each else 0 for each in (0, 1)]
            part = values[row : row + block + overlap[0], col : col + block + overlap[1]]
            found.add(part, (row, col)[axis], axis)
    return found


class TestBorders:
    @pytest.mark.parametrize("axis", [0, 1])
    @pytest.mark.parametrize("block", [7, 40, 1000])
    def test_blocks_do_not_matter(self, axis: int, block: int) -> None:
        values = smooth(5, (61, 83))
        values[10:20, 30:50] = np.nan
        whole, parts = profile(values, axis, 10_000), profile(values, axis, block)
        assert (whole.count == parts.count).all()
        assert parts.absolute == pytest.approx(whole.absolute)
        difference = np.abs(np.diff(values, axis=axis))
        assert parts.absolute == pytest.approx(np.nansum(difference, axis=1 - axis))
        assert parts.count.tolist() == np.isfinite(difference).sum(axis=1 - axis).tolist()

    @pytest.mark.parametrize("axis", [0, 1])
    def test_offset_between_tiles_is_found_and_measured(self, axis: int) -> None:
        values = smooth(6, (200, 200), 8)
        raised = values.copy()
        raised[(slice(100, None), slice(None))[:: 1 if axis == 0 else -1]] += 0.5
        found = profile(raised, axis, 64).at([99])
        assert found.offset == pytest.approx(0.5, abs=0.1)
        assert found.ratio > 3
        assert found.p < 0.02
        assert found.pairs == 200
        clean = profile(values, axis, 64).at([99])
        assert clean.ratio < 1.5
        assert clean.p > 0.02

    def test_ratio_equals_brute_force(self) -> None:
        values = smooth(7, (50, 90), 3)
        step = np.abs(np.diff(values, axis=1)).mean(axis=0)
        borders, reach = [29, 59], 6
        contrast = []
        for border in borders:
            near = [i for i in range(border - reach, border + reach + 1) if i not in borders and 0 <= i < step.size]
            contrast.append(step[border] / step[near].mean())
        assert profile(values, 1, 32).at(borders, reach=reach).ratio == pytest.approx(np.mean(contrast))

    def test_map_of_one_value_has_no_ratio(self) -> None:
        found = profile(np.full((30, 30), 4.0), 1, 30).at([10])
        assert np.isnan(found.ratio)
        assert np.isnan(found.p)
        assert found.offset == 0

    def test_border_outside_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="borders"):
            StepProfile(10).at([9])

    def test_edges_of_fields(self) -> None:
        fields = np.add.outer(np.arange(120) // 30 * 10, np.arange(120) // 40)
        levels = np.random.default_rng(0).normal(size=200)
        land = smooth(8, (120, 120), 10)
        edged, clean = EdgeTally(), EdgeTally()
        edged.add(land + levels[fields], fields)
        clean.add(land, fields)
        assert edged.step.ratio > 5
        assert 0.7 < clean.step.ratio < 1.3
        assert edged.step.pairs == 120 * (3 + 2)

    def test_edges_equal_brute_force(self) -> None:
        random = np.random.default_rng(1)
        values, patches = random.normal(size=(15, 18)), random.integers(-1, 2, (15, 18))
        values[3, 4] = np.nan
        tally = EdgeTally(reach=2)
        tally.add(values, patches)
        across, beside = [], []
        for v, p in ((values, patches), (values.T, patches.T)):
            edge = p[:, 1:] != p[:, :-1]
            for i in range(v.shape[0]):
                for j in range(v.shape[1] - 1):
                    if np.isnan(v[i, j : j + 2]).any() or (p[i, j : j + 2] < 0).any():
                        continue
                    step = abs(v[i, j + 1] - v[i, j])
                    if edge[i, j]:
                        across.append(step)
                    elif edge[i, max(0, j - 2) : j + 3].any():
                        beside.append(step)
        assert tally.step.pairs == len(across)
        assert tally.step.ratio == pytest.approx(np.mean(across) / np.mean(beside))

    def test_single_row_has_no_pairs_to_turn(self) -> None:
        tally = EdgeTally()
        tally.add(np.ones((1, 5)), np.zeros((1, 5), int))
        assert np.isnan(tally.step.ratio)
