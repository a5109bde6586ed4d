"""The named bare-soil tests against their formulas in plain numpy."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cup4soil.errors import InvalidInput
from cup4soil.methods.bare_soil import BANDS, pvir2
from cup4soil.methods.bare_tests import TESTS, bare_test

REFLECTANCE = st.one_of(
    st.sampled_from([np.nan, 0.0, -0.0, 1.0, -1.0, 1000.0, 1000.25, 3000.0, -250.0, 65535.0]),
    st.floats(-500, 12000, width=32),
)


def ratio(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(all="ignore"):
        return np.where(a + b > 0, (a - b) / (a + b), np.nan)


def expected(name, bands, threshold):
    """Index in double precision and flags by the written formulas."""
    with np.errstate(invalid="ignore"):
        if name in ("pvir2", "median"):
            index = pvir2(bands["B04"], bands["B08"], bands["B12"])
            return index, index <= threshold
        if name == "nbr2":
            index = ratio(bands["B11"], bands["B12"])
            return index, index <= threshold
        ndvi = ratio(bands["B08"], bands["B04"])
        if name == "barest-earth":
            return ndvi, ndvi <= threshold
        index = ratio(bands["B11"], bands["B12"])
        return index, (ndvi >= -0.25) & (ndvi <= 0.25) & (index >= -0.3) & (index <= threshold)


def cell(name, values, threshold):
    """Index and flag of one cell."""
    bands = {band: np.full((1, 1), value, dtype=np.float32) for band, value in values.items()}
    index, bare = TESTS[name].observe(bands, np.full((1, 1), threshold))
    return index[0, 0], bare[0, 0]


@pytest.mark.parametrize("name", TESTS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_index_and_flags_are_those_of_the_formulas(name, data):
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))
    bands = {band: data.draw(hnp.arrays(np.float32, shape, elements=REFLECTANCE)) for band in TESTS[name].bands}
    limits = st.one_of(st.just(np.nan), st.floats(-2.5, 2.5), st.sampled_from([0.0, 0.075, 0.1, -0.3, 0.25]))
    threshold = data.draw(hnp.arrays(np.float64, shape, elements=limits))
    index, bare = TESTS[name].observe(bands, threshold)
    right_index, right_bare = expected(name, bands, threshold)
    assert index.dtype == np.float32
    assert bare.dtype == np.uint8
    np.testing.assert_array_equal(index, right_index.astype(np.float32))
    np.testing.assert_array_equal(bare, right_bare)


@pytest.mark.parametrize("name", TESTS)
def test_an_index_exactly_at_the_threshold_is_bare(name):
    """The comparison is made in double precision, where half of all float32 indices lie on the other side."""
    rng = np.random.default_rng(1)
    bands = {band: rng.uniform(900, 1100, (40, 50)).astype(np.float32) for band in TESTS[name].bands}
    at, _ = expected(name, bands, np.zeros((40, 50)))
    assert TESTS[name].observe(bands, at)[1].all()
    assert not TESTS[name].observe(bands, np.nextafter(at, -np.inf))[1].any()
    assert (at.astype(np.float32) > at).any()


def test_the_fixed_ends_of_the_ranges_belong_to_them():
    soil = {"B11": 1000, "B12": 1000}
    assert cell("ndvi-nbr2", soil | {"B08": 1250, "B04": 750}, 0.1)[1] == 1
    assert cell("ndvi-nbr2", soil | {"B08": 1251, "B04": 750}, 0.1)[1] == 0
    assert cell("ndvi-nbr2", soil | {"B08": 750, "B04": 1250}, 0.1)[1] == 1
    assert cell("ndvi-nbr2", soil | {"B08": 750, "B04": 1251}, 0.1)[1] == 0
    assert cell("ndvi-nbr2", {"B08": 1000, "B04": 1000, "B11": 700, "B12": 1300}, 0.1)[1] == 1
    assert cell("ndvi-nbr2", {"B08": 1000, "B04": 1000, "B11": 700, "B12": 1301}, 0.1)[1] == 0


@pytest.mark.parametrize("name", TESTS)
def test_what_cannot_be_computed_has_no_index_and_is_not_bare(name):
    bands = dict.fromkeys(TESTS[name].bands, 1000.0)
    assert cell(name, bands, np.nan)[1] == 0
    assert not np.isnan(cell(name, bands, np.nan)[0])
    for band in TESTS[name].bands:
        assert cell(name, bands | {band: np.nan}, 5.0)[1] == 0
        # A sum that is zero or negative.
        assert cell(name, bands | {band: -1000.0}, 5.0)[1] == 0
        assert cell(name, bands | {band: -5000.0}, 5.0)[1] == 0
    assert np.isnan(cell(name, dict.fromkeys(TESTS[name].bands, 0.0), 5.0)[0])


def test_views_and_read_only_arrays_are_read_as_they_are():
    rng = np.random.default_rng(2)
    cube = rng.uniform(0, 4000, (20, 30, 3)).astype(np.float32)
    views = dict(zip(("B04", "B08", "B12"), np.moveaxis(cube, 2, 0), strict=True))
    whole = {band: values.copy() for band, values in views.items()}
    for values in whole.values():
        values.flags.writeable = False
    threshold = np.broadcast_to(np.float64(0.2), (20, 30))
    for first, second in zip(
        TESTS["pvir2"].observe(views, threshold), TESTS["pvir2"].observe(whole, threshold), strict=True
    ):
        np.testing.assert_array_equal(first, second)


def test_threads_do_not_disturb_each_other():
    rng = np.random.default_rng(3)
    blocks = [{b: rng.uniform(0, 4000, (64, 64)).astype(np.float32) for b in ("B11", "B12")} for _ in range(16)]
    threshold = np.full((64, 64), 0.075)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda block: TESTS["nbr2"].observe(block, threshold), blocks))
    for block, (index, bare) in zip(blocks, together, strict=True):
        right_index, right_bare = expected("nbr2", block, threshold)
        np.testing.assert_array_equal(index, right_index.astype(np.float32))
        np.testing.assert_array_equal(bare, right_bare)


@given(
    bands=hnp.arrays(np.float32, (2, 3, 7), elements=REFLECTANCE),
)
@settings(max_examples=60, deadline=None)
def test_weights_fall_with_ndvi_and_are_zero_without(bands):
    nir, red = bands
    ndvi = np.clip(ratio(nir, red), -1, 1)
    weights = TESTS["barest-earth"].weights({"B08": nir, "B04": red})
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, np.nan_to_num(0.5 * np.exp(-8 * (ndvi - 0.25))), rtol=1e-6)
    # One half and more is what counts as bare at the default threshold, apart from rounding at the very limit.
    _, bare = TESTS["barest-earth"].observe({"B08": nir, "B04": red}, np.full((3, 7), 0.25))
    clear = np.abs(ndvi - 0.25) > 1e-6
    np.testing.assert_array_equal(bare[clear] == 1, weights[clear] >= 0.5)


def test_tests_describe_themselves():
    assert set(TESTS) == {"pvir2", "nbr2", "ndvi-nbr2", "barest-earth", "median"}
    for name, test in TESTS.items():
        assert test.name == name
        assert set(test.bands) <= set(BANDS)
        assert test.description.endswith(".")
        assert test.references
        assert all("https://doi.org/10." in reference for reference in test.references)
        low, high = test.index_range
        assert test.default_threshold is None or low < test.default_threshold < high
    assert {name for name, test in TESTS.items() if test.default_threshold is None} == {"pvir2", "median"}
    assert bare_test("nbr2") is TESTS["nbr2"]


def test_refusals():
    with pytest.raises(InvalidInput, match=r"no bare-soil test 'ndvi'; choose one of pvir2, nbr2, .*median"):
        bare_test("ndvi")
    one = np.ones((2, 2), np.float32)
    with pytest.raises(ValueError, match="bands B12 are not given"):
        TESTS["nbr2"].observe({"B11": one}, np.zeros((2, 2)))
    with pytest.raises(ValueError, match="band B12 has shape"):
        TESTS["nbr2"].observe({"B11": one, "B12": np.ones((2, 3), np.float32)}, np.zeros((2, 2)))
    with pytest.raises(ValueError, match="band B11 has shape"):
        TESTS["nbr2"].observe({"B11": one, "B12": one}, np.zeros((3, 2)))
    with pytest.raises(ValueError, match="no weights"):
        TESTS["nbr2"].weights({"B11": one, "B12": one})
    with pytest.raises(ValueError, match="bands B04 are not given"):
        TESTS["barest-earth"].weights({"B08": one})
