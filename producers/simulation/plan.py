"""Which scenes the archive has: dates, sun, weather, moisture, processing baselines."""

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from producers.simulation.sky import CloudKind, Sun, Weather, sun_position

type Edge = Literal["north-west", "south-east"]

START = datetime(2021, 1, 1, tzinfo=UTC)
YEARS = 2
#: Days since START of 1 January of the years of harvest that the two years of scenes touch.
SEASONS = (0.0, 365.0, 730.0)
TILE = "33UVU"
BASELINE_WITH_OFFSET = "04.00"
#: Below this elevation (zenith above 70 degrees) a scene is too dark to be used.
LOWEST_SUN_DEG = 20.0

_FIRST_PASS = datetime(2021, 1, 4, 10, 14, 11, tzinfo=UTC)
_REVISIT = timedelta(days=5)
_PER_MONTH = (1, 1, 3, 3, 3, 1, 1, 2, 3, 3, 1, 1)
_OVERCAST_PER_YEAR = 2
_HAZY, _EDGES = 5, 5
_DRY_SPELL_DAYS = 3.0
_LONGITUDE, _LATITUDE = 14.47, 52.39
# Sentinel-2 baselines by the date from which ESA's ground segment used them.
_BASELINES = (
    (datetime(2020, 2, 4, tzinfo=UTC), "02.14"),
    (datetime(2021, 3, 30, tzinfo=UTC), "03.00"),
    (datetime(2021, 6, 30, tzinfo=UTC), "03.01"),
    (datetime(2022, 1, 25, tzinfo=UTC), "04.00"),
    (datetime(2022, 12, 6, tzinfo=UTC), "05.09"),
)
_REPROCESSED = "05.00"
_PASS_NUMBER = {"sentinel-2a": 28_950, "sentinel-2b": 20_020}


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene as planned. ``key`` seeds what is random in it; ``wetness`` of the soil's surface is 0 ... 1.

    ``moisture`` is ``wetness`` minus its mean over the usable dates. ``superseded``: a newer baseline of it exists.
    """

    key: int
    when: datetime
    platform: str
    baseline: str
    sun: Sun
    weather: Weather
    wetness: float = 0.0
    moisture: float = 0.0
    snow: bool = False
    edge: Edge | None = None
    superseded: bool = False

    @property
    def day(self) -> float:
        """Days since START."""
        return (self.when - START) / timedelta(days=1)

    @property
    def dn_offset(self) -> int:
        """What the digital numbers carry beside reflectance * 10000."""
        return 1000 if self.baseline >= BASELINE_WITH_OFFSET else 0

    @property
    def usable(self) -> bool:
        """False when the sun is too low, or a newer baseline stands for the scene."""
        return self.sun.elevation >= LOWEST_SUN_DEG and not self.superseded

    @property
    def datatake(self) -> str:
        """Id of the datatake, with its baseline as in the real archive."""
        orbit = _PASS_NUMBER[self.platform] + int(self.day * 143 / 10)
        return f"G{self._satellite}_{self.when:%Y%m%dT%H%M%S}_{orbit:06d}_N{self.baseline}"

    @property
    def id(self) -> str:
        """Id of the item; says that it is simulated."""
        return f"SIM_{self._satellite}_{TILE}_{self.when:%Y%m%dT%H%M%S}_N{self.baseline.replace('.', '')}"

    @property
    def _satellite(self) -> str:
        return "S2" + self.platform[-1].upper()


def draw_plan(seed: int) -> tuple[Scene, ...]:
    """The scenes in order of time: the clearest passes of each month, some overcast ones, and one of them twice."""
    rng = np.random.default_rng([seed, 2])
    passes = [_pass(rng, index) for index in range(math.ceil(365 * YEARS / _REVISIT.days) - 1)]
    chosen = _clearest(passes)
    overcast = [scene for scene in passes if scene not in chosen and 4 <= scene.when.month <= 10]
    for year in range(START.year, START.year + YEARS):
        candidates = [scene for scene in overcast if scene.when.year == year]
        for index in sorted(rng.choice(len(candidates), _OVERCAST_PER_YEAR, replace=False)):
            cover = float(rng.uniform(0.9, 0.97))
            chosen.append(replace(candidates[index], weather=Weather(cover, "layer", 900.0, 0.1)))
    scenes = _with_events(rng, sorted(chosen, key=lambda scene: scene.when))
    return _with_moisture(rng, _with_reprocessed(scenes))


def _pass(rng: np.random.Generator, index: int) -> Scene:
    when = _FIRST_PASS + index * _REVISIT
    platform = "sentinel-2a" if index % 2 == 0 else "sentinel-2b"
    baseline = next(name for since, name in reversed(_BASELINES) if when >= since)
    kinds: tuple[CloudKind, ...] = ("cumulus", "layer", "cirrus")
    low, high = ((0.0, 0.06), (0.06, 0.85), (0.85, 1.0))[rng.choice(3, p=(0.27, 0.33, 0.40))]
    weather = Weather(
        float(rng.uniform(low, high)),
        kinds[rng.choice(3, p=(0.5, 0.3, 0.2))],
        float(rng.uniform(500, 1400)),
        float(abs(rng.normal(0.0, 0.06))),
    )
    return Scene(index, when, platform, baseline, sun_position(when, _LONGITUDE, _LATITUDE), weather)


def _clearest(passes: list[Scene]) -> list[Scene]:
    chosen: list[Scene] = []
    for month in sorted({(scene.when.year, scene.when.month) for scene in passes}):
        there = [scene for scene in passes if (scene.when.year, scene.when.month) == month]
        chosen += sorted(there, key=lambda scene: scene.weather.cover)[: _PER_MONTH[month[1] - 1]]
    return chosen


def _with_events(rng: np.random.Generator, scenes: list[Scene]) -> list[Scene]:
    """Snow in the first February, thick haze on some dates, the edge of the swath on others."""
    snowy = next(i for i, scene in enumerate(scenes) if scene.when.month == 2)
    scenes[snowy] = replace(scenes[snowy], snow=True, weather=Weather(0.08, "cumulus", 800.0, 0.03))
    bright = [i for i, scene in enumerate(scenes) if scene.weather.cover < 0.6 and i != snowy]
    for i in rng.choice(bright, _HAZY, replace=False):
        scenes[i] = replace(scenes[i], weather=replace(scenes[i].weather, haze=float(rng.uniform(0.2, 0.4))))
    sides: tuple[Edge, ...] = ("north-west", "south-east")
    for i in rng.choice(bright, _EDGES, replace=False):
        scenes[i] = replace(scenes[i], edge=sides[rng.integers(2)])
    return scenes


def _with_reprocessed(scenes: list[Scene]) -> list[Scene]:
    """Give one clear September datatake a second time, in the baseline it was reprocessed in."""
    september = [scene for scene in scenes if (scene.when.year, scene.when.month) == (START.year, 9)]
    twice = min(september, key=lambda scene: scene.weather.cover)
    at = scenes.index(twice)
    twice = replace(twice, edge=None, weather=replace(twice.weather, haze=0.04))
    return [*scenes[:at], replace(twice, superseded=True), replace(twice, baseline=_REPROCESSED), *scenes[at + 1 :]]


def _with_moisture(rng: np.random.Generator, scenes: list[Scene]) -> tuple[Scene, ...]:
    memory_days = 6.5 - 4.0 * np.sin(2 * np.pi * (np.arange(365 * YEARS) % 365 - 105) / 365)
    daily = _surface_wetness(rng, memory_days)
    wetness = []
    for scene in scenes:
        # A clear sky mostly comes with a dry spell.
        dry_days = _DRY_SPELL_DAYS * (1 - scene.weather.cover)
        wetness.append(float(daily[int(scene.day)] * np.exp(-dry_days / memory_days[int(scene.day)])))
    mean = float(np.mean([wet for wet, scene in zip(wetness, scenes, strict=True) if scene.usable]))
    return tuple(replace(scene, wetness=wet, moisture=wet - mean) for wet, scene in zip(wetness, scenes, strict=True))


def _surface_wetness(rng: np.random.Generator, memory_days: NDArray[np.float64]) -> NDArray[np.float64]:
    """Wetness of the surface per day: showers wet it, it dries within days in summer and within weeks in winter."""
    rain = np.where(rng.random(memory_days.size) < 0.3, rng.exponential(0.22, memory_days.size), 0.0)
    wetness, level = np.empty(memory_days.size), 0.5
    for day, memory in enumerate(memory_days):
        level = min(1.0, level * math.exp(-1.0 / memory) + rain[day])
        wetness[day] = level
    return wetness
