"""The sky of a scene: position of the sun, clouds, their shadows, and haze."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from producers.simulation.noise import Field, mixture, random_field

type CloudKind = Literal["cumulus", "layer", "cirrus"]

_CELL_M = 20.0
#: Cells around the image in which there are clouds too, whose shadows fall into it.
_MARGIN_CELLS = 120
_SHADOW_DEPTH = 0.62
# Range in cells, width of the edge in standard deviations, greatest opacity.
_CLOUDS: dict[CloudKind, tuple[float, float, float]] = {
    "cumulus": (18.0, 0.35, 1.0),
    "layer": (70.0, 0.6, 1.0),
    "cirrus": (110.0, 1.2, 0.34),
}


@dataclass(frozen=True, slots=True)
class Sun:
    """Position of the sun in degrees: elevation above the horizon, azimuth clockwise from north."""

    elevation: float
    azimuth: float


def sun_position(when: datetime, longitude: float, latitude: float) -> Sun:
    """Position of the sun after Spencer (1971), good to a few tenths of a degree; refraction is left out."""
    moment = when.astimezone(UTC)
    hours = moment.hour + moment.minute / 60 + moment.second / 3600
    year = 2 * math.pi * (moment.timetuple().tm_yday - 1 + (hours - 12) / 24) / 365
    declination = (
        0.006918
        - 0.399912 * math.cos(year)
        + 0.070257 * math.sin(year)
        - 0.006758 * math.cos(2 * year)
        + 0.000907 * math.sin(2 * year)
        - 0.002697 * math.cos(3 * year)
        + 0.00148 * math.sin(3 * year)
    )
    equation_min = 229.18 * (
        0.000075
        + 0.001868 * math.cos(year)
        - 0.032077 * math.sin(year)
        - 0.014615 * math.cos(2 * year)
        - 0.040849 * math.sin(2 * year)
    )
    angle = math.radians((hours * 60 + equation_min + 4 * longitude) / 4 - 180)
    place = math.radians(latitude)
    sine = math.sin(place) * math.sin(declination) + math.cos(place) * math.cos(declination) * math.cos(angle)
    east = -math.cos(declination) * math.sin(angle)
    north = math.sin(declination) * math.cos(place) - math.cos(declination) * math.sin(place) * math.cos(angle)
    return Sun(math.degrees(math.asin(sine)), math.degrees(math.atan2(east, north)) % 360)


@dataclass(frozen=True, slots=True)
class Weather:
    """What the sky is like at a scene: share of cloud 0 ... 1, what kind, base of the clouds (m), haze 0 ... 1."""

    cover: float
    kind: CloudKind
    base_m: float
    haze: float


@dataclass(frozen=True, slots=True)
class Sky:
    """Images of shape (n, n): ``cloud`` opacity 0 ... 1, ``shadow`` 0 ... 1 (1 darkest), ``haze`` strength."""

    cloud: Field
    shadow: Field
    haze: Field

    def clear(self) -> NDArray[np.bool_]:
        """True where the ground is seen without notable cloud, shadow or haze."""
        return (self.cloud < 0.03) & (self.shadow < 0.15) & (self.haze < 0.12)


def shadow_shift(sun: Sun, base_m: float) -> tuple[int, int]:
    """Cells (down, right) by which a cloud's shadow lies from the cloud seen from above: away from the sun."""
    reach = base_m / math.tan(math.radians(sun.elevation)) / _CELL_M
    azimuth = math.radians(sun.azimuth)
    # South is down: a sun in the south (180 degrees) throws the shadow up.
    down, right = math.cos(azimuth) * reach, -math.sin(azimuth) * reach
    return _within_margin(down), _within_margin(right)


def _within_margin(cells: float) -> int:
    return round(max(-_MARGIN_CELLS, min(_MARGIN_CELLS, cells)))


def draw_sky(rng: np.random.Generator, size: int, weather: Weather, sun: Sun) -> Sky:
    """Clouds of the given kind and share with the shadows they throw, and haze in patches."""
    wide = _clouds(rng, size + 2 * _MARGIN_CELLS, weather)
    density = np.float32(0.25 if weather.kind == "cirrus" else 1.0)
    shadow = density * _window(wide, size, shadow_shift(sun, weather.base_m))
    cloud = _window(wide, size, (0, 0))
    patches = 0.5 + 0.5 * mixture((1.0, random_field(rng, size, 60)), (0.3, random_field(rng, size, 15)))
    patches = np.clip(patches, 0.0, 2.0)
    return Sky(cloud, shadow * (1 - cloud), np.asarray(weather.haze * patches, dtype=np.float32))


def shade(sky: Sky) -> Field:
    """Factor of the reflectance under the shadows."""
    return np.asarray(1.0 - _SHADOW_DEPTH * sky.shadow, dtype=np.float32)


def _clouds(rng: np.random.Generator, width: int, weather: Weather) -> Field:
    if weather.cover <= 0.0:
        return np.zeros((width, width), dtype=np.float32)
    scale, edge, densest = _CLOUDS[weather.kind]
    field = mixture((1.0, random_field(rng, width, scale)), (0.25, random_field(rng, width, 6.0)))
    threshold = np.quantile(field, 1.0 - min(weather.cover, 0.995))
    return np.asarray(densest * np.clip((field - threshold) / edge, 0.0, 1.0), dtype=np.float32)


def _window(wide: Field, size: int, shift: tuple[int, int]) -> Field:
    row, col = _MARGIN_CELLS - shift[0], _MARGIN_CELLS - shift[1]
    return wide[row : row + size, col : col + size]
