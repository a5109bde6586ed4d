"""What an operator may set for maps and tiles."""

from pydantic import Field

from cup4soil.settings import Settings
from processors.map_maker import MapLimits


class MapSettings(Settings):
    """Settings with the limits of maps and tiles, WMTS included."""

    map_pixels: int = Field(default=MapLimits.pixels, ge=65_536, description="Most pixels of one map or tile.")
    map_items: int = Field(
        default=MapLimits.items, ge=1, description="Most products that may lie under one map or tile."
    )

    @property
    def map_limits(self) -> MapLimits:
        """The limits together."""
        return MapLimits(self.map_pixels, self.map_items)
