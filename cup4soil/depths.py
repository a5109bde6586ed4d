"""Depth intervals below the soil surface, in centimetres."""

import re
from dataclasses import dataclass
from typing import Self

from cup4soil.errors import InvalidInput

_PATTERN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*-\s*(\d+(?:\.\d+)?)\s*(?:cm)?\s*")
MAX_DEPTH_CM = 1000.0


@dataclass(frozen=True, slots=True, order=True)
class Depth:
    """The interval from ``upper_cm`` down to ``lower_cm``, with 0 <= upper < lower <= 1000."""

    upper_cm: float
    lower_cm: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.upper_cm < self.lower_cm <= MAX_DEPTH_CM:
            raise InvalidInput(
                f"depth {self.upper_cm:g}-{self.lower_cm:g} cm is no interval",
                f"give upper-lower in cm with 0 <= upper < lower <= {MAX_DEPTH_CM:g}, such as 0-20",
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``0-20`` or ``0-20 cm``.

        Raises:
            InvalidInput: when the text is no such interval.
        """
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise InvalidInput(f"depth {text!r} is no interval", "give upper-lower in cm, such as 0-20")
        return cls(float(match[1]), float(match[2]))

    @property
    def thickness_cm(self) -> float:
        """Lower minus upper."""
        return self.lower_cm - self.upper_cm

    def overlap_cm(self, other: "Depth") -> float:
        """Thickness that both intervals share; 0 when they only touch."""
        return max(0.0, min(self.lower_cm, other.lower_cm) - max(self.upper_cm, other.upper_cm))

    def __str__(self) -> str:
        """As in collection names: ``0-20cm``."""
        return f"{self.upper_cm:g}-{self.lower_cm:g}cm"
