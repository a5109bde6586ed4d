"""What an operator may set for EDR queries."""

from pydantic import Field

from cup4soil.settings import Settings
from processors.edr_query import EdrLimits


class EdrSettings(Settings):
    """Settings with the limits of EDR queries; areas and cubes have those of coverages as CoverageJSON."""

    edr_points: int = Field(default=EdrLimits.points, ge=1, description="Most points of one EDR position query.")
    edr_vertices: int = Field(
        default=EdrLimits.vertices, ge=3, description="Most vertices of the geometry of an EDR query."
    )
    edr_radius_km: float = Field(
        default=EdrLimits.radius_m / 1000, gt=0, le=5000, description="Largest radius of an EDR query (km)."
    )
    edr_cells: int = Field(
        default=EdrLimits.cells, ge=1, description="Most values read for the points of one EDR query."
    )

    @property
    def edr_limits(self) -> EdrLimits:
        """The limits together."""
        return EdrLimits(self.edr_points, self.edr_vertices, 1000 * self.edr_radius_km, self.edr_cells)


def edr_limits_of(settings: Settings) -> EdrLimits:
    """The limits that an operator has set; the defaults where the settings know none."""
    return settings.edr_limits if isinstance(settings, EdrSettings) else EdrLimits()
