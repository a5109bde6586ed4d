"""What is simulated follows the real samples, the calendar, the sun and the rules of optics."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_predict

from cup4soil.methods.bare_soil import BANDS
from producers.simulation import RECOMMENDED_THRESHOLD
from producers.simulation.bb250 import fit_soil_spectra, load_samples
from producers.simulation.crops import CROPS, draw_timeline
from producers.simulation.landscape import CROPLAND, GRASS, LAND_COVER_NAMES, TREES, Landscape, make_landscape
from producers.simulation.noise import mixture, random_field, upper_share
from producers.simulation.plan import LOWEST_SUN_DEG, SEASONS, Scene, draw_plan
from producers.simulation.rendering import cover_shares, render
from producers.simulation.sky import Sun, Weather, draw_sky, shadow_shift, sun_position
from producers.simulation.spectra import COVERS, blurred, mix, pvir2

SIZE = 120


@pytest.fixture(scope="module")
def land() -> Landscape:
    return make_landscape(20, SIZE, SEASONS)


@pytest.fixture(scope="module")
def plan() -> tuple[Scene, ...]:
    return draw_plan(20)


def _cloudless(scene: Scene) -> Scene:
    return replace(scene, weather=Weather(0.0, "cumulus", 800.0, 0.0), edge=None, snow=False)


def _skill(spectra: np.ndarray, soc: np.ndarray) -> float:
    """Share of the variance of ln(SOC) that a linear model of the bands explains in ten-fold cross-validation."""
    logs = np.log(soc)
    predicted = cross_val_predict(LinearRegression(), spectra, logs, cv=10)
    return 1 - float(np.mean((predicted - logs) ** 2) / logs.var())


def test_carbon_shows_in_simulated_spectra_as_in_the_real_ones() -> None:
    samples = load_samples()
    rng = np.random.default_rng(1)
    order = rng.permutation(250)
    bare = pvir2(samples.reflectance[order].T) < 0.1
    real = _skill(samples.reflectance[order][bare], samples.soc_percent[order][bare])
    model = fit_soil_spectra(samples)
    simulated = []
    for _ in range(5):
        soc = rng.permutation(samples.soc_percent)
        fields = rng.standard_normal((10, 250)).astype(np.float32)
        simulated.append(_skill(model.reflectance(soc.astype(np.float32), fields).T, soc))
    assert real > 0.7
    assert np.mean(simulated) == pytest.approx(real, abs=0.08)


def test_simulated_spectra_have_the_samples_moments() -> None:
    samples = load_samples()
    real = samples.reflectance[pvir2(samples.reflectance.T) < 0.1]
    rng = np.random.default_rng(2)
    soc = rng.choice(samples.soc_percent, 5000).astype(np.float32)
    spectra = fit_soil_spectra(samples).reflectance(soc, rng.standard_normal((10, 5000)).astype(np.float32)).T
    assert spectra.mean(axis=0) == pytest.approx(real.mean(axis=0), abs=0.003)
    assert spectra.std(axis=0) == pytest.approx(real.std(axis=0), rel=0.12)
    assert np.abs(np.corrcoef(spectra.T) - np.corrcoef(real.T)).max() < 0.08


def test_soil_darkens_with_carbon_in_every_band() -> None:
    model = fit_soil_spectra(load_samples())
    poor, rich = model.reflectance(np.array([0.6, 2.5], dtype=np.float32), np.zeros((10, 2), dtype=np.float32)).T
    assert (rich < poor).all()


def test_real_samples_lie_below_the_threshold_and_plants_far_above() -> None:
    samples = load_samples()
    assert np.mean(pvir2(samples.reflectance.T) <= RECOMMENDED_THRESHOLD) > 0.97
    green = ("crop", "grass", "pine", "leaves", "bare trees")
    assert min(float(pvir2(np.array(COVERS[name]))) for name in green) > 4 * RECOMMENDED_THRESHOLD


def test_meadows_and_woods_never_look_bare(land: Landscape, plan: tuple[Scene, ...]) -> None:
    least = np.full((SIZE, SIZE), np.inf)
    for scene in plan[::3]:
        shares = cover_shares(scene, land)
        least = np.minimum(least, pvir2(mix(shares, land.soil)))
    assert np.quantile(least[land.land_cover == TREES], 0.01) > 0.5
    assert np.quantile(least[land.land_cover == GRASS], 0.01) > 0.3
    crops = [land.timelines[parcel].crops for parcel in land.parcels[land.cropland]]
    tilled = np.array(["ley" not in names for names in crops])
    assert np.quantile(least[land.cropland][tilled], 0.9) < RECOMMENDED_THRESHOLD


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000))
def test_calendars_move_on_and_shares_stay_shares(seed: int) -> None:
    timeline = draw_timeline(np.random.default_rng(seed), SEASONS)
    assert (np.diff(timeline.days) > 0).all()
    assert len(timeline.crops) == len(SEASONS)
    assert all(later in CROPS[crop].followers for crop, later in zip(timeline.crops, timeline.crops[1:], strict=False))
    for day in range(0, 730, 7):
        green, straw, flower = timeline.shares(day)
        assert min(green, straw, flower) >= 0
        assert green + straw <= 1
        assert flower <= green


def test_every_arable_crop_leaves_the_soil_bare_and_a_ley_never() -> None:
    rng = np.random.default_rng(3)
    seen: set[str] = set()
    for _ in range(200):
        timeline = draw_timeline(rng, SEASONS)
        bare = max(1 - sum(timeline.shares(day)[:2]) for day in range(730))
        seen |= set(timeline.crops)
        assert (bare < 0.5) if timeline.crops[0] == "ley" else (bare > 0.9)
    assert seen == set(CROPS)


def test_shares_fill_every_cell_and_leave_soil_on_cropland_alone(land: Landscape, plan: tuple[Scene, ...]) -> None:
    for scene in plan[::10]:
        shares = cover_shares(scene, land)
        free = 1 - sum(shares.values())
        assert min(float(share.min()) for share in shares.values()) >= 0
        assert float(free.min()) > -1e-5
        assert float(free[land.land_cover != CROPLAND].max()) < 0.2


def test_the_landscape_has_all_covers_and_fields_of_some_hectares(land: Landscape) -> None:
    shares = {name: float(np.mean(land.land_cover == code)) for code, name in LAND_COVER_NAMES.items()}
    assert shares["cropland"] > 0.45
    assert min(shares.values()) > 0.005
    hectares = np.bincount(land.parcels.ravel()) * 0.04
    assert hectares.min() > 1.5
    assert 4 < np.median(hectares) < 20


def test_the_map_of_land_cover_agrees_mostly_with_the_truth(land: Landscape) -> None:
    assert 0.9 < np.mean(land.mapped_land_cover() == land.land_cover) < 1


def test_the_offset_is_all_that_a_new_baseline_changes(land: Landscape, plan: tuple[Scene, ...]) -> None:
    scene = replace(_cloudless(plan[15]), baseline="03.01")
    old = render(20, scene, land).dn.astype(np.int64)
    new = render(20, replace(scene, baseline="04.00"), land).dn.astype(np.int64)
    assert np.array_equal(new - old, np.full_like(old, 1000))


def test_bare_dates_are_clear_and_on_cropland_and_look_bare(land: Landscape, plan: tuple[Scene, ...]) -> None:
    found = 0
    for scene in plan[::4]:
        image = render(20, scene, land)
        assert not image.bare[land.land_cover != CROPLAND].any()
        assert not np.isin(image.scl[image.bare], (0, 3, 8, 9)).any()
        if not scene.usable:
            assert not image.bare.any()
        elif image.bare.any():
            seen = (image.dn[:, image.bare].astype(float) - scene.dn_offset) / 1e4
            found += int(image.bare.sum())
            assert np.quantile(pvir2(seen), 0.95) < 0.45
    assert found > 1000


def test_a_cloudless_scene_shows_the_true_soil(land: Landscape, plan: tuple[Scene, ...]) -> None:
    """Where parcels are bare, the mean over clear dates comes close to the soil at mean moisture."""
    total = np.zeros((10, SIZE, SIZE))
    count = np.zeros((SIZE, SIZE))
    for scene in plan[::2]:
        image = render(20, _cloudless(scene), land)
        seen = (image.dn.astype(float) - scene.dn_offset) / 1e4
        total += np.where(image.bare, seen, 0)
        count += image.bare
    often = count >= 4
    error = (total[:, often] / count[often]) / land.soil[:, often] - 1
    assert often.sum() > 500
    assert np.abs(np.median(error, axis=1)).max() < 0.12


def test_clouds_are_bright_and_shadows_dark(land: Landscape, plan: tuple[Scene, ...]) -> None:
    scene = next(s for s in plan if s.weather.kind == "cumulus" and 0.2 < s.weather.cover < 0.5)
    image = render(20, scene, land)
    seen = (image.dn.astype(float) - scene.dn_offset) / 1e4
    blue, nir = seen[0], seen[BANDS.index("B08")]
    assert np.median(blue[image.scl == 9]) > 0.4
    assert np.median(nir[image.scl == 3]) < 0.7 * np.median(nir[np.isin(image.scl, (4, 5))])


@pytest.mark.parametrize("sun", [Sun(25.0, 160.0), Sun(35.0, 200.0), Sun(55.0, 150.0)])
def test_shadows_lie_where_the_sun_throws_them(sun: Sun) -> None:
    """The shift at which clouds and the shadows beside them coincide best, by brute force, points away from the sun."""
    sky = draw_sky(np.random.default_rng(5), 180, Weather(0.3, "cumulus", 500.0, 0.0), sun)
    cloud, dark = sky.cloud > 0.3, sky.shadow > 0.3
    inner = slice(60, 120)
    scores = {}
    for down in range(-60, 61, 2):
        for right in range(-30, 31, 2):
            moved = cloud[inner.start - down : inner.stop - down, inner.start - right : inner.stop - right]
            beside = ~cloud[inner, inner]
            scores[down, right] = np.mean((moved == dark[inner, inner])[beside])
    down, right = max(scores, key=lambda shift: scores[shift])
    reach = 500 / math.tan(math.radians(sun.elevation)) / 20
    azimuth = math.radians(sun.azimuth)
    assert shadow_shift(sun, 500.0) == (round(reach * math.cos(azimuth)), round(-reach * math.sin(azimuth)))
    assert (down, right) == pytest.approx(shadow_shift(sun, 500.0), abs=3)


@pytest.mark.parametrize(
    ("when", "latitude", "elevation"),
    [
        (datetime(2021, 6, 21, 12, 2, tzinfo=UTC), 52.0, 90 - 52 + 23.44),
        (datetime(2021, 12, 21, 11, 58, tzinfo=UTC), 52.0, 14.56),
    ],
)
def test_the_sun_stands_at_its_solstices(when: datetime, latitude: float, elevation: float) -> None:
    sun = sun_position(when, 0.0, latitude)
    assert sun.elevation == pytest.approx(elevation, abs=0.1)
    assert sun.azimuth == pytest.approx(180.0, abs=1.0)


def test_the_sun_agrees_with_real_scenes(shared_data: Path) -> None:
    """Times there are those of the datatake, minutes before the tile's: hence the tolerance."""
    items = [json.loads(path.read_text()) for path in (shared_data / "s2-flanders").glob("sentinel-2-l2a/*/*.json")]
    assert len(items) > 100
    for item in items:
        told, (west, south, _, _) = item["properties"], item["bbox"]
        sun = sun_position(datetime.fromisoformat(told["datetime"]), west, south)
        assert sun.elevation == pytest.approx(told["view:sun_elevation"], abs=0.8)
        assert sun.azimuth == pytest.approx(told["view:sun_azimuth"], abs=3.5)


def test_the_plan_covers_seasons_baselines_and_bad_days(plan: tuple[Scene, ...]) -> None:
    once = [scene for scene in plan if not scene.superseded]
    assert len({scene.when for scene in once}) == len(once) >= 40
    assert {scene.when.month for scene in once} == set(range(1, 13))
    assert {scene.dn_offset for scene in once} == {0, 1000}
    assert sum(scene.snow for scene in once) == 1
    assert sum(scene.edge is not None for scene in once) >= 4
    assert sum(scene.sun.elevation < LOWEST_SUN_DEG for scene in once) >= 4
    assert float(np.mean([scene.moisture for scene in plan if scene.usable])) == pytest.approx(0, abs=1e-9)


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), size=st.integers(40, 90), reach=st.floats(2.0, 30.0))
def test_random_fields_are_standard_and_smooth(seed: int, size: int, reach: float) -> None:
    field = random_field(np.random.default_rng(seed), size, reach)
    assert field.shape == (size, size)
    assert float(field.mean()) == pytest.approx(0, abs=1e-3)
    assert float(field.std()) == pytest.approx(1, abs=1e-3)
    near = np.mean((field[:, 1:] - field[:, :-1]) ** 2)
    far = np.mean((field[:, 8:] - field[:, :-8]) ** 2)
    assert near < far


def test_upper_share_takes_that_share_of_the_cells_it_may_take() -> None:
    rng = np.random.default_rng(0)
    field, among = rng.standard_normal((50, 50)).astype(np.float32), rng.random((50, 50)) < 0.5
    chosen = upper_share(field, 0.2, among)
    assert chosen.sum() == pytest.approx(0.2 * among.sum(), abs=1)
    assert not chosen[~among].any()
    assert field[chosen].min() > field[among & ~chosen].max()


def test_a_mixture_of_one_field_is_that_field() -> None:
    field = random_field(np.random.default_rng(0), 50, 5)
    assert mixture((2.0, field)) == pytest.approx(field, abs=1e-5)


def test_mixing_is_linear_and_pure_covers_stay_pure() -> None:
    soil = np.full((10, 2, 2), 0.2, dtype=np.float32)
    half = np.full((2, 2), 0.5, dtype=np.float32)
    assert mix({"crop": half}, soil)[:, 0, 0] == pytest.approx(0.5 * np.array(COVERS["crop"]) + 0.1, abs=1e-6)
    assert mix({"pine": half * 2}, soil)[:, 1, 1] == pytest.approx(np.array(COVERS["pine"]), abs=1e-6)
    assert np.array_equal(mix({}, soil), soil)


def test_blurring_keeps_plains_and_mixes_edges() -> None:
    image = np.zeros((1, 5, 6), dtype=np.float32)
    image[:, :, 3:] = 1
    out = blurred(image, 0.1)
    assert out[0, :, 0] == pytest.approx(0)
    assert out[0, :, 5] == pytest.approx(1)
    assert out[0, :, 2] == pytest.approx(0.1)
    assert out[0, :, 3] == pytest.approx(0.9)
