"""Statistics of an area: quantiles against numpy, areas against the maps that keep them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from cup4soil.area_statistics import AreaStatistics, row_cell_areas_ha
from cup4soil.grids import Bounds, Window, aligned_geobox, parse_crs
from cup4soil.properties import soil_property

COSINE = math.cos(math.radians(52.005))


@given(st.lists(st.integers(-32767, 32767), min_size=1, max_size=200))
def test_quantiles_are_those_of_numpy(means: list[int]) -> None:
    values = np.array([means], dtype=np.int16)
    geobox = aligned_geobox(Bounds(4e6, 3e6, 4e6 + 20 * len(means), 3e6 + 20), parse_crs("EPSG:3035"), 20)
    counted = AreaStatistics(soil_property("soc"), geobox)
    stored = {"mean": values, "aoa": np.zeros_like(values, np.uint8), "pi90": values * 0}
    counted.add(Window(0, 0, *values.shape), stored, values.size)
    found = counted.to_dict()
    expected = np.quantile(values.astype(float), (0.05, 0.5, 0.95)) / 10
    np.testing.assert_allclose([found["q05"], found["median"], found["q95"]], expected, atol=1e-4)
    assert found["mean"] == pytest.approx(values.mean() / 10, abs=1e-4)
    assert found["mean_inside"] is None


@pytest.mark.parametrize(
    ("crs", "bounds", "cell", "hectares", "tolerance"),
    [
        ("EPSG:3035", (4_321_000, 3_210_000, 4_323_000, 3_212_000), 20, 0.04, 1e-5),
        ("EPSG:32633", (499_000, 5_800_000, 501_000, 5_802_000), 20, 0.04 / 0.9996**2, 1e-5),
        ("EPSG:3857", (1_110_000, 6_800_000, 1_112_000, 6_802_000), 20, 0.04 * COSINE**2, 2e-2),
        ("EPSG:4326", (10, 52, 10.02, 52.01), 0.0002, 0.0002**2 * 11.125 * 111_320 * COSINE, 5e-3),
    ],
)  # fmt: skip
def test_cells_have_their_area_on_the_ellipsoid(
    crs: str, bounds: tuple[float, float, float, float], cell: float, hectares: float, tolerance: float
) -> None:
    geobox: GeoBox = aligned_geobox(Bounds(*bounds), parse_crs(crs), cell)
    areas = row_cell_areas_ha(geobox)
    assert areas.shape == (geobox.shape[0],)
    np.testing.assert_allclose(areas, hectares, rtol=tolerance)
