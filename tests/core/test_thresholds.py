"""HISET against its definition by brute force, and what the surface through the regions promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cup4soil.errors import NoData
from cup4soil.methods.thresholds import (
    LEAST_CELLS,
    Finding,
    IndexHistogram,
    RegionHistograms,
    hiset,
    kernel_width,
    smooth_surface,
)

CROPLAND, GRASSLAND, FOREST, BUILT_UP = 40, 30, 10, 50
# Index values as they are stored: whole ten-thousandths, some of them on an edge (75 apart), some past -2..2.
stored = st.one_of(st.integers(-25_000, 25_000), st.integers(-266, 266).map(lambda k: 75 * k - 50))
samples = st.lists(stored, min_size=1, max_size=60)


def histogram(values):
    found = IndexHistogram()
    found.add(np.asarray(values))
    return found


def by_definition(low, high):
    """Threshold and score in whole ten-thousandths and exact fractions, edge by edge."""
    scores = {}
    for edge in range(-20_000, 20_001, 75):
        a, b = sum(v <= edge for v in low) * len(high), sum(v <= edge for v in high) * len(low)
        whole = len(low) * len(high)
        scores[edge] = max(min(a, b), min(whole - a, whole - b))
    least = min(scores.values())
    best = [edge for edge, score in scores.items() if score == least]
    return best[(len(best) - 1) // 2] / 10_000, least / (len(low) * len(high))


class TestHiset:
    @given(samples, samples, st.sampled_from([np.float32, np.float64]))
    def test_is_its_definition(self, low, high, dtype):
        scale = dtype(1e-4)
        found = hiset(histogram(np.array(low, dtype) * scale), histogram(np.array(high, dtype) * scale))
        threshold, score = by_definition(low, high)
        assert found.threshold == pytest.approx(threshold, abs=1e-12)
        assert found.score == score
        assert (found.low_cells, found.high_cells) == (len(low), len(high))
        assert 0 <= found.score <= 1

    @given(samples, samples)
    def test_the_score_does_not_ask_which_class_is_first(self, low, high):
        one, other = (
            hiset(histogram(np.array(a) / 1e4), histogram(np.array(b) / 1e4)) for a, b in ((low, high), (high, low))
        )
        assert (one.threshold, one.score) == (other.threshold, other.score)
        assert not (one.ordered and other.ordered)

    def test_takes_the_middle_of_the_gap_between_classes(self):
        found = hiset(histogram(np.full(7, -0.5)), histogram(np.full(9, 0.5)))
        assert found.score == 0
        assert found.ordered
        assert found.threshold == pytest.approx(0.0, abs=0.0075)

    def test_equal_classes_are_not_separated(self):
        values = np.linspace(-1, 1, 1001)
        found = hiset(histogram(values), histogram(values))
        assert found.score == pytest.approx(0.5, abs=0.01)
        assert not found.ordered

    def test_a_class_without_cells_is_no_data(self):
        with pytest.raises(NoData, match="0 and 3 cells"):
            hiset(histogram(np.full(4, np.nan)), histogram(np.zeros(3)))

    def test_counts_that_no_machine_integer_holds(self):
        many = 10**18
        low, high = histogram([-0.5]), histogram([0.5])
        low.counts *= many
        high.counts *= many
        assert hiset(low, high).score == 0


class TestHistogram:
    @given(st.lists(st.one_of(st.floats(-3, 3), st.just(np.nan)), max_size=80), st.integers(0, 80))
    def test_adds_up_block_by_block(self, values, cut):
        parts = histogram(values[:cut]) + histogram(values[cut:])
        whole = histogram(values)
        assert (parts.counts == whole.counts).all()
        assert whole.cells == np.isfinite(np.array(values, dtype=float)).sum()

    @given(st.lists(st.integers(-25_000, 25_000), min_size=1, max_size=80))
    def test_counts_what_is_at_most_each_edge(self, values):
        edges = np.arange(-20_000, 20_001, 75)
        expected = [sum(v <= edge for v in values) for edge in edges]
        assert histogram(np.array(values) / 1e4).below().tolist() == expected
        assert IndexHistogram.edges() == pytest.approx(edges / 1e4)


def region(crop, grass=(), forest=(), built_max=(), crop_max=None):
    """A region with these minima by class, the maxima of cropland where given, else 1."""
    found = RegionHistograms()
    for code, values in ((CROPLAND, crop), (GRASSLAND, grass), (FOREST, forest)):
        values = np.asarray(values, dtype=float)
        maximum = np.ones(values.size) if code != CROPLAND or crop_max is None else np.asarray(crop_max)
        found.add(values, maximum, np.full(values.size, float(code)))
    built = np.asarray(built_max, dtype=float)
    found.add(np.full(built.size, -0.5), built, np.full(built.size, float(BUILT_UP)))
    return found


class TestRegion:
    def test_cropland_is_compared_with_grassland(self):
        found = region(np.full(200, 0.0), grass=np.full(LEAST_CELLS, 0.8), forest=np.full(500, 1.2)).t_min()
        assert found.used
        assert (found.low, found.high, found.low_cells, found.high_cells) == ("cropland", "grassland", 200, 100)
        assert 0.0 < found.value < 0.8

    def test_forest_stands_in_where_grassland_is_rare(self):
        found = region(np.full(200, 0.0), grass=np.full(LEAST_CELLS - 1, 0.8), forest=np.full(500, 1.2)).t_min()
        assert found.used
        assert (found.high, found.high_cells) == ("forest", 500)

    def test_too_few_cells_give_no_threshold(self):
        found = region(np.full(99, 0.0), grass=np.full(98, 0.8), forest=np.full(5, 1.2)).t_min()
        assert not found.used
        assert found.value is None
        assert found.weight == 0
        assert "99 cells of cropland and 98 cells of grassland" in found.reason

    def test_a_poor_score_is_rejected_and_told(self):
        rng = np.random.default_rng(0)
        found = region(rng.normal(0.4, 0.3, 2000), grass=rng.normal(0.6, 0.3, 2000)).t_min()
        assert found.value is not None
        assert found.score > 0.25
        assert not found.used
        assert "poor" in found.reason

    def test_classes_the_wrong_way_round_are_rejected(self):
        found = region(np.full(200, 0.9), grass=np.full(200, 0.1)).t_min()
        assert found.score == 0
        assert not found.used
        assert "legend" in found.reason

    def test_t_max_is_built_up_against_cropland(self):
        found = region(np.zeros(300), built_max=np.full(150, 0.2), crop_max=np.full(300, 1.4)).t_max()
        assert found.used
        assert (found.low, found.high, found.low_cells, found.high_cells) == ("built-up", "cropland", 150, 300)
        assert 0.2 <= found.value < 1.4

    def test_other_classes_and_unknown_cells_count_nowhere(self):
        found = RegionHistograms()
        codes = np.array([20.0, 60, 80, 254, np.nan, 0])
        found.add(np.zeros(6), np.zeros(6), codes)
        assert all(each.cells == 0 for each in (*found.minimum.values(), *found.maximum.values()))

    def test_weight_falls_with_the_score_and_rises_with_the_cells(self):
        def weight(score, cells):
            return Finding("cropland", "grassland", 10 * cells, cells, 0.3, score).weight

        assert weight(0.0, 1000) == pytest.approx(0.5)
        assert weight(0.25, 1000) == pytest.approx(0.25)
        assert weight(0.1, 200) < weight(0.1, 2000) < weight(0.1, 10**9) < weight(0.0, 10**9) <= 1


points = st.lists(
    st.tuples(
        st.tuples(st.floats(0, 5e5), st.floats(0, 5e5)), st.floats(-0.5, 0.9), st.floats(0.01, 1.0)
    ),
    min_size=1,
    max_size=8,
)  # fmt: skip
GRID = np.linspace(-3e6, 4e6, 15)


class TestSurface:
    @given(points)
    def test_never_leaves_the_range_of_the_regions_and_has_no_gap(self, regions):
        centres, values, weights = zip(*regions, strict=True)
        surface = smooth_surface(GRID, GRID, centres, values, weights)
        assert surface.shape == (15, 15)
        assert np.isfinite(surface).all()
        assert surface.min() >= min(values)
        assert surface.max() <= max(values)

    @given(points)
    def test_is_the_formula(self, regions):
        centres, values, weights = zip(*regions, strict=True)
        h = max(kernel_width(centres), 1.0)
        for x, y in ((0.0, 0.0), (2e5, -4e5)):
            k = [
                w / (1 + ((x - a) ** 2 + (y - b) ** 2) / h**2) ** 2 for (a, b), w in zip(centres, weights, strict=True)
            ]
            expected = sum(each * v for each, v in zip(k, values, strict=True)) / sum(k)
            surface = smooth_surface(np.array([x]), np.array([y]), centres, values, weights)
            assert surface[0, 0] == pytest.approx(expected, abs=1e-9)

    def test_centres_that_all_but_coincide_leave_no_gap(self):
        surface = smooth_surface(GRID, GRID, [(0.0, 0.0), (1e-300, 0.0)], [0.2, 0.4], [1.0, 1.0])
        assert surface == pytest.approx(0.3)

    def test_one_region_gives_one_value(self):
        assert (smooth_surface(GRID, GRID, [(0.0, 0.0)], [0.3], [0.2]) == 0.3).all()

    def test_regions_on_one_point_are_averaged(self):
        surface = smooth_surface(GRID, GRID, [(0.0, 0.0)] * 2, [0.2, 0.4], [1.0, 1.0])
        assert surface == pytest.approx(0.3)

    def test_a_region_of_a_lattice_keeps_four_fifths_at_its_centre(self):
        centres = [(x * 1e5, y * 1e5) for x in range(-9, 10) for y in range(-9, 10)]
        values = [float(centre == (0.0, 0.0)) for centre in centres]
        surface = smooth_surface(np.zeros(1), np.zeros(1), centres, values, [1.0] * len(centres))
        assert surface[0, 0] == pytest.approx(0.79, abs=0.01)

    def test_is_smooth_between_regions(self):
        x = np.linspace(-2e5, 3e5, 2001)
        surface = smooth_surface(x, np.zeros(1), [(0.0, 0.0), (1e5, 0.0)], [0.1, 0.4], [1.0, 0.5])[0]
        slopes = np.diff(surface)
        assert np.abs(np.diff(slopes)).max() < 0.02 * np.abs(slopes).max()

    def test_far_away_it_is_the_weighted_mean(self):
        surface = smooth_surface(np.array([1e12]), np.zeros(1), [(0.0, 0.0), (1e5, 0.0)], [0.1, 0.4], [1.0, 0.5])
        assert surface[0, 0] == pytest.approx((0.1 + 0.2) / 1.5, abs=1e-6)

    def test_does_not_depend_on_the_order_of_the_regions(self):
        regions = [((0.0, 0.0), 0.1, 0.9), ((1e5, 0.0), 0.4, 0.3), ((0.0, 2e5), 0.2, 0.5)]
        one, other = (smooth_surface(GRID, GRID, *zip(*each, strict=True)) for each in (regions, regions[::-1]))
        assert one == pytest.approx(other, abs=1e-12)

    def test_refuses_what_is_no_list_of_regions(self):
        for centres, values, weights in (([], [], []), ([(0.0, 0.0)], [0.1], [0.0]), ([(0.0, 0.0)], [0.1, 0.2], [1.0])):
            with pytest.raises(ValueError, match="weights wanted"):
                smooth_surface(GRID, GRID, centres, values, weights)
