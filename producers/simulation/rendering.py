"""From landscape and plan to the image of one scene: covers, soil moisture, sky, sensor, scene classes."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cup4soil.methods.bare_soil import BANDS
from producers.simulation.landscape import BUILT_UP, GRASS, TREES, WATER, Landscape
from producers.simulation.noise import Field, random_field
from producers.simulation.plan import Edge, Scene
from producers.simulation.sky import Sky, draw_sky, shade
from producers.simulation.spectra import (
    CLOUD,
    HAZE,
    NIR,
    NIR_NARROW,
    RED,
    SNOW,
    SWIR1,
    WETTING,
    blurred,
    column,
    mix,
)

#: Share of bare soil from which the truth calls a cell bare.
BARE_SHARE = 0.85
#: Classes of Sen2Cor's scene classification (SCL).
SCL_NODATA, SCL_DARK, SCL_SHADOW, SCL_VEGETATION, SCL_BARE, SCL_WATER = 0, 2, 3, 4, 5, 6
SCL_UNCLASSIFIED, SCL_CLOUD_MEDIUM, SCL_CLOUD_HIGH, SCL_CIRRUS, SCL_SNOW = 7, 8, 9, 10, 11

_NOISE_FLOOR, _NOISE_RATE = 0.0008, 0.006
# What the older processing of a reprocessed scene got wrong: haze that was left in.
_OLD_PROCESSING_HAZE = 0.35


class Image(NamedTuple):
    """A scene as delivered, and what is true of it.

    ``dn`` (10, n, n) digital numbers, 0 where there is none; ``scl`` (n, n); ``bare`` where the cell was seen clearly
    in a usable scene and at least 85 % of it was bare soil; ``cloud_percent`` of the observed cells by SCL.
    """

    dn: NDArray[np.uint16]
    scl: NDArray[np.uint8]
    bare: NDArray[np.bool_]
    cloud_percent: float


@dataclass(frozen=True, slots=True)
class Ground:
    """Reflectance (10, n, n) at the ground, share of bare soil and of snow (n, n)."""

    reflectance: Field
    bare: Field
    snow: Field


def render(seed: int, scene: Scene, land: Landscape) -> Image:
    """The image of ``scene``; the same for the same seed, whatever was rendered before."""
    rng = np.random.default_rng([seed, 3, scene.key])
    size = land.soc.shape[0]
    ground = _ground(rng, scene, land)
    sky = draw_sky(rng, size, scene.weather, scene.sun)
    observed = _observed(rng, size, scene.edge)
    reflectance = _at_sensor(rng, ground.reflectance, sky, scene)
    scl = _scene_classes(rng, reflectance, sky, ground.snow > 0.4, land, scene)
    scl[~observed] = SCL_NODATA
    dn = np.clip(np.rint(reflectance * 10_000) + scene.dn_offset, 1, 65_535).astype(np.uint16)
    dn[:, ~observed] = 0
    bare = land.cropland & observed & sky.clear() & (ground.bare >= BARE_SHARE) & scene.usable & (ground.snow == 0)
    cloudy = np.isin(scl, (SCL_CLOUD_MEDIUM, SCL_CLOUD_HIGH, SCL_CIRRUS))
    return Image(dn, scl, bare, round(100 * float(cloudy[observed].mean()), 2))


def cover_shares(scene: Scene, land: Landscape) -> dict[str, Field]:
    """Share of every cover in every cell (n, n); what they leave free is bare soil."""
    shares = _crop_shares(scene, land)
    shares.update(_other_shares(scene, land))
    return shares


def _crop_shares(scene: Scene, land: Landscape) -> dict[str, Field]:
    table = np.array([timeline.shares(scene.day) for timeline in land.timelines], dtype=np.float32).T
    green, straw, flower = (values[land.parcels] for values in table)
    green = np.clip(green * (1 + 0.12 * land.vigour), 0.0, 0.98)
    straw = np.minimum(straw * np.clip(1 + 0.3 * land.texture, 0.2, 2.0), 1.0 - green)
    crops = land.cropland.astype(np.float32)
    flower = np.minimum(flower, green)
    return {"crop": (green - flower) * crops, "flower": flower * crops, "straw": straw * crops}


def _other_shares(scene: Scene, land: Landscape) -> dict[str, Field]:
    season = _season(scene.day)
    meadow, woods, village, water = (
        (land.land_cover == code).astype(np.float32) for code in (GRASS, TREES, BUILT_UP, WATER)
    )
    green = np.clip(season.grass + 0.08 * land.wetness + 0.05 * land.vigour, 0.02, 0.97)
    garden = 0.65 - 0.6 * land.sealed
    return {
        "grass": 0.97 * green * meadow + 0.8 * garden * village,
        "dry grass": 0.97 * (1 - green) * meadow + 0.2 * garden * village,
        "pine": land.pine * woods,
        "leaves": (1 - land.pine) * season.leaves * woods,
        "bare trees": (1 - land.pine) * (1 - season.leaves) * woods,
        "roof": 0.6 * (1 - garden) * village,
        "asphalt": 0.4 * (1 - garden) * village,
        "water": water,
    }


class _Season(NamedTuple):
    grass: float
    leaves: float


def _season(day: float) -> _Season:
    """Green share of meadows, with the drought of the second summer, and leaves on deciduous trees."""
    second = day >= 365
    summer = 0.12 if second else 0.50
    days = [0, 60, 110, 150, 195, 235, 280, 320, 365]
    grass = np.interp(day % 365, days, [0.72, 0.68, 0.88, 0.93, summer, summer + 0.05, 0.80, 0.80, 0.72])
    leaves = np.interp(day % 365, [95, 130, 275, 310], [0.0, 1.0, 0.95, 0.0])
    return _Season(float(grass), float(leaves))


def _ground(rng: np.random.Generator, scene: Scene, land: Landscape) -> Ground:
    shares = cover_shares(scene, land)
    bare = (1.0 - sum(shares.values())) * land.cropland
    mixed = mix(shares, _moist_soil(rng, scene, land))
    mixed *= 1 + np.float32(0.05) * land.texture * (1 - bare)
    snow = np.zeros_like(bare)
    if scene.snow:
        snow = np.where(land.land_cover == TREES, 0.35, 0.88) * np.where(land.land_cover == WATER, 0.0, 1.0)
        snow = np.clip(snow * (1 + 0.1 * land.vigour), 0.0, 1.0).astype(np.float32)
        mixed = (1 - snow) * mixed + snow * column(SNOW)
    return Ground(blurred(mixed.astype(np.float32, copy=False)), bare.astype(np.float32), snow)


def _moist_soil(rng: np.random.Generator, scene: Scene, land: Landscape) -> Field:
    """Soil reflectance darkened by moisture and changed a little by tillage, parcel by parcel."""
    showers = random_field(rng, land.soc.shape[0], 25)
    spread = 0.05 + 0.12 * scene.wetness
    moisture = scene.moisture + spread * (0.6 * land.wetness + 0.6 * showers)
    roughness = rng.normal(1.0, 0.02, len(land.timelines)).astype(np.float32)[land.parcels]
    darkened = land.soil * np.exp(-column(WETTING) * moisture.astype(np.float32))
    return np.asarray(darkened * roughness, dtype=np.float32)


def _at_sensor(rng: np.random.Generator, ground: Field, sky: Sky, scene: Scene) -> Field:
    gain = (rng.normal(1.0, 0.012) * rng.normal(1.0, 0.004, len(BANDS))).astype(np.float32).reshape(-1, 1, 1)
    haze = sky.haze + np.float32(_OLD_PROCESSING_HAZE if scene.superseded else 0.0)
    seen = ground * (gain * shade(sky)) + column(HAZE) * haze
    seen += sky.cloud * (column(CLOUD) - seen)
    noise = rng.standard_normal(seen.shape, dtype=np.float32)
    return np.asarray(seen + noise * (np.float32(_NOISE_FLOOR) + np.float32(_NOISE_RATE) * seen), dtype=np.float32)


def _observed(rng: np.random.Generator, size: int, edge: Edge | None) -> NDArray[np.bool_]:
    """True inside the swath, whose edge runs like the orbit, from upper right to lower left."""
    if edge is None:
        return np.ones((size, size), dtype=np.bool_)
    place = (np.arange(size) + 0.5) / size
    across = place[None, :] + math.tan(math.radians(12.0)) * (place[:, None] - 0.5)
    cut = float(rng.uniform(0.1, 0.4))
    return np.asarray(across > cut if edge == "north-west" else across < 1 - cut)


def _scene_classes(
    rng: np.random.Generator, seen: Field, sky: Sky, snow: NDArray[np.bool_], land: Landscape, scene: Scene
) -> NDArray[np.uint8]:
    """Classes as Sen2Cor gives them, with its misses: thin cloud and single clouds and shadows go unnoticed."""
    index = (seen[NIR] - seen[RED]) / (seen[NIR] + seen[RED])
    classes = np.where(index > 0.35, SCL_VEGETATION, SCL_BARE).astype(np.uint8)
    classes[(seen[NIR_NARROW] < 0.085) & (seen[SWIR1] < 0.06)] = SCL_DARK
    classes[land.land_cover == WATER] = SCL_WATER
    classes[snow] = SCL_SNOW
    noticed = (random_field(rng, snow.shape[0], 14) < 1.75) | (sky.cloud > 0.75)
    cirrus = scene.weather.kind == "cirrus"
    classes[noticed & (sky.shadow > 0.35)] = SCL_SHADOW
    classes[noticed & (sky.cloud > 0.12)] = SCL_CIRRUS if cirrus else SCL_UNCLASSIFIED
    if not cirrus:
        classes[noticed & (sky.cloud > 0.3)] = SCL_CLOUD_MEDIUM
        classes[noticed & (sky.cloud > 0.65)] = SCL_CLOUD_HIGH
    return classes
