"""What an operator may set for coverages."""

from pydantic import Field

from cup4soil.settings import Settings
from processors.coverage_grid import Limits


class CoverageSettings(Settings):
    """Settings with the limits of coverages; a value is one cell of one field."""

    coverage_values: int = Field(
        default=Limits.values,
        ge=1,
        le=1_000_000_000,
        description="Most values in one coverage answer as GeoTIFF (2 bytes each).",
    )
    coverage_json_values: int = Field(
        default=Limits.json_values, ge=1, description="Most values in one coverage answer as CoverageJSON."
    )
    raster_cache_mib: int = Field(
        default=256, ge=1, description="Decoded tiles of rasters that each web process keeps (MiB)."
    )

    @property
    def coverage_limits(self) -> Limits:
        """The limits together."""
        return Limits(self.coverage_values, self.coverage_json_values)


def limits_of(settings: Settings) -> Limits:
    """The limits that an operator has set; the defaults where the settings know none."""
    return settings.coverage_limits if isinstance(settings, CoverageSettings) else Limits()
