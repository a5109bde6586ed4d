"""Crop calendars and rotations: how green and how dry each parcel is on each day.

A calendar lists (day, green share, share of straw or dead plants); days count from 1 January of the year of harvest,
those before it are negative. What neither covers is bare soil. Dates and shares are typical of Brandenburg.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

type Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Crop:
    """One crop: its calendar from the seedbed to what is left after the harvest, and what may follow it.

    ``flowers`` is the interval of days with a yellow canopy.
    """

    calendar: tuple[Point, ...]
    harvest: float
    followers: tuple[str, ...]
    spring: bool = False
    flowers: tuple[float, float] | None = None


# fmt: off
def _winter_cereal(sown: float, harvest: float) -> tuple[Point, ...]:
    return (
        (sown - 24, 0.03, 0.08), (sown - 12, 0.01, 0.04), (sown, 0.00, 0.03), (sown + 16, 0.02, 0.03),
        (sown + 42, 0.20, 0.03), (10, 0.30, 0.05), (60, 0.36, 0.05), (95, 0.68, 0.04), (122, 0.95, 0.02),
        (harvest - 48, 0.94, 0.05), (harvest - 24, 0.45, 0.50), (harvest - 6, 0.06, 0.92),
        (harvest, 0.04, 0.93), (harvest + 1, 0.03, 0.80), (harvest + 12, 0.06, 0.66),
        (harvest + 15, 0.03, 0.26), (harvest + 32, 0.24, 0.18), (harvest + 45, 0.30, 0.14),
    )


def _spring_crop(
    start: float, sown: float, closed: float, ripe: float, harvest: float, left: float
) -> tuple[Point, ...]:
    return (
        (start, 0.03, 0.08), (sown, 0.00, 0.04), (sown + 18, 0.01, 0.03), (sown + 32, 0.08, 0.02),
        ((sown + 32 + closed) / 2, 0.42, 0.02), (closed, 0.90, 0.01), (ripe, 0.88, 0.05), (harvest - 6, 0.40, 0.45),
        (harvest, 0.35, 0.50), (harvest + 1, 0.03, left), (harvest + 20, 0.10, left * 0.8),
        (harvest + 24, 0.02, left * 0.35),
    )


_LEY = (
    (-120, 0.80, 0.05), (-40, 0.68, 0.12), (40, 0.66, 0.14), (90, 0.85, 0.05), (138, 0.95, 0.02), (141, 0.48, 0.22),
    (168, 0.93, 0.02), (188, 0.95, 0.02), (191, 0.46, 0.24), (220, 0.90, 0.04), (238, 0.92, 0.04), (241, 0.48, 0.22),
)
_RAPE = (
    (-148, 0.05, 0.10), (-136, 0.01, 0.05), (-126, 0.00, 0.04), (-114, 0.02, 0.03), (-88, 0.45, 0.02),
    (-55, 0.78, 0.02),
    (15, 0.58, 0.12), (72, 0.70, 0.10), (105, 0.95, 0.02), (160, 0.95, 0.03), (185, 0.45, 0.48), (200, 0.06, 0.90),
    (204, 0.04, 0.90), (205, 0.03, 0.72), (214, 0.08, 0.58), (218, 0.02, 0.24), (235, 0.30, 0.16), (246, 0.34, 0.12),
)

CROPS = {
    "rye": Crop(_winter_cereal(-98, 207), 207, ("maize", "rape", "sunflower", "rye", "barley")),
    "wheat": Crop(_winter_cereal(-86, 213), 213, ("barley", "rape", "maize", "beet", "rye")),
    "barley": Crop(_winter_cereal(-101, 185), 185, ("rape", "rape", "maize", "rye")),
    "rape": Crop(_RAPE, 204, ("wheat", "wheat", "rye"), flowers=(115, 140)),
    "maize": Crop(_spring_crop(96, 114, 188, 240, 262, 0.34), 262, ("maize", "wheat", "rye", "sunflower"), spring=True),
    "beet": Crop(_spring_crop(72, 91, 172, 262, 288, 0.12), 288, ("wheat", "spring barley"), spring=True),
    "sunflower": Crop(_spring_crop(88, 106, 176, 212, 257, 0.36), 257, ("wheat", "rye"), spring=True),
    "spring barley": Crop(_spring_crop(62, 78, 138, 172, 208, 0.66), 208, ("rape", "rye", "barley"), spring=True),
    "ley": Crop(_LEY, 290, ("ley",)),
}
_SHARES = {
    "rye": 0.21, "wheat": 0.14, "barley": 0.11, "rape": 0.13, "maize": 0.20, "beet": 0.04, "sunflower": 0.05,
    "spring barley": 0.05, "ley": 0.07,
}
#: Between the harvest and a spring crop: a catch crop that the frost kills, or a winter furrow.
_CATCH_CROP = (
    (-118, 0.02, 0.06), (-105, 0.10, 0.05), (-72, 0.78, 0.03), (-25, 0.70, 0.15),
    (12, 0.18, 0.50), (55, 0.10, 0.42),
)
_WINTER_FURROW = ((-55, 0.10, 0.16), (-50, 0.00, 0.03), (0, 0.03, 0.03), (50, 0.09, 0.04))
# fmt: on
_CATCH_CROP_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Timeline:
    """Shares of one parcel over time: ``days`` since 1 January of the first year, strictly rising."""

    crops: tuple[str, ...]
    days: NDArray[np.float64]
    green: NDArray[np.float64]
    straw: NDArray[np.float64]
    flowers: tuple[tuple[float, float], ...]

    def shares(self, day: float) -> tuple[float, float, float]:
        """Green, straw and flowering share (of the ground) on ``day``."""
        green = float(np.interp(day, self.days, self.green))
        blooming = any(first <= day <= last for first, last in self.flowers)
        return green, float(np.interp(day, self.days, self.straw)), 0.55 * green if blooming else 0.0


def draw_timeline(rng: np.random.Generator, seasons: Sequence[float]) -> Timeline:
    """A rotation with one crop per season; ``seasons`` are the days of 1 January of the years of harvest, rising."""
    names = list(_SHARES)
    crop = str(rng.choice(names, p=np.array(list(_SHARES.values()))))
    crops: list[str] = []
    points: list[Point] = []
    flowers: list[tuple[float, float]] = []
    for january in seasons:
        shift = rng.normal(0.0, 5.0, 2)
        points.extend(_season(rng, CROPS[crop], january, shift, points))
        if (bloom := CROPS[crop].flowers) is not None:
            flowers.append((january + bloom[0] + shift[0], january + bloom[1] + shift[0]))
        crops.append(crop)
        crop = str(rng.choice(CROPS[crop].followers))
    days, green, straw = np.array(points).T
    return Timeline(tuple(crops), days, green, straw, tuple(flowers))


def _season(
    rng: np.random.Generator, crop: Crop, january: float, shift: NDArray[np.float64], before: list[Point]
) -> list[Point]:
    """The points of one season; those of ``before`` that it overtakes are removed from that list."""
    calendar = list(crop.calendar)
    if crop.spring:
        calendar = [*(_CATCH_CROP if rng.random() < _CATCH_CROP_SHARE else _WINTER_FURROW), *calendar]
    first, last = calendar[0][0], crop.harvest
    delay = np.interp([day for day, _, _ in calendar], [first, last], shift)
    moved = [
        (january + day + float(late), green, straw) for (day, green, straw), late in zip(calendar, delay, strict=True)
    ]
    if crop.spring and before:
        # A late harvest leaves no time for what would have come between.
        moved = [point for point in moved if point[0] > before[-1][0] + 2 or point[0] > january + 56]
    while before and before[-1][0] >= moved[0][0] - 2:
        before.pop()
    return moved
