"""What is asked of a table of soil samples: where in it what stands, and how it is to be read."""

from typing import Literal

from odc.geo import CRS
from pydantic import ConfigDict, Field

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput
from cup4soil.methods.spline import SMOOTHING
from cup4soil.products import Frozen
from cup4soil.properties import SoilProperty

TEXTURE_TOLERANCE_PERCENT = 1.0


class TargetSpec(Frozen):
    """A column that holds a property. Cells times ``factor`` are in ``unit``, one of the property's units.

    ``detection_limit`` is what ``< LOD`` stands for in the column, in the unit of its cells.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    column: str
    property: SoilProperty
    unit: str
    factor: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    detection_limit: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class SampleSpec(Frozen):
    """Where in the table what stands, and how it is to be read.

    ``targets`` are read together: a row that lacks one of them is of no use to a joint model and excluded.

    With ``depths_as_rows`` every horizon is a sample of its own, for a model with depth as covariate; ``depth`` then is
    the interval in which the middle of a horizon has to lie. Without it horizons become one value for each profile in
    ``depth``: their mean by thickness or, with ``harmonise`` "spline", that of the equal-area spline. ``to_cm`` turns
    depths into centimetres.

    ``texture`` names the columns of sand, silt and clay. ``missing`` are further words, or numbers such as -9999, for a
    missing value, ``below`` words for one below the limit of detection, which is left out or, with ``below_detection``
    "half", put at half the limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    targets: tuple[TargetSpec, ...] = Field(min_length=1)
    x: str
    y: str
    crs: CRS
    id: str | None = None
    upper: str | None = None
    lower: str | None = None
    depth: Depth | None = None
    depths_as_rows: bool = False
    features: tuple[str, ...] = ()
    texture: tuple[str, str, str] | None = None
    texture_tolerance: float = TEXTURE_TOLERANCE_PERCENT
    minimum_coverage: float = 0.5
    harmonise: Literal["weighted", "spline"] = "weighted"
    smoothing: float = Field(default=SMOOTHING, ge=0, allow_inf_nan=False)
    missing: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    below_detection: Literal["exclude", "half"] = "exclude"
    to_cm: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    @property
    def target(self) -> TargetSpec:
        """The only target.

        Raises:
            InvalidInput: when there are several.
        """
        if len(self.targets) > 1:
            raise InvalidInput(f"{len(self.targets)} properties where one is expected", "name one column")
        return self.targets[0]
