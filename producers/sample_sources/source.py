"""A source of samples: a table as it came, and what is known of its columns, terms and origin."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from odc.geo import CRS
from pydantic import ConfigDict, Field

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput, NotFound
from cup4soil.products import Frozen, Period
from cup4soil.properties import soil_property
from producers.sample_spec import SampleSpec, TargetSpec
from producers.sample_table import SampleReport, SampleTable
from producers.samples import samples_of
from producers.tables import Table

# What columns made of the geometry of a file are called; no attribute can have such a name by chance.
X_COLUMN, Y_COLUMN = "x of the point", "y of the point"


class PropertyColumn(Frozen):
    """Where a property stands: cells times ``factor`` are in ``unit``; ``detection_limit`` is in the cells' unit."""

    column: str
    unit: str
    factor: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    detection_limit: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class SourceLayout(Frozen):
    """What stands where in the table of a source. None: not known, the user has to say.

    ``depth`` is what all rows are of where there are no columns of depths, else what is asked for by default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    x: str | None = None
    y: str | None = None
    crs: CRS | None = None
    id: str | None = None
    upper: str | None = None
    lower: str | None = None
    depth: Depth | None = None
    to_cm: float = 1.0
    properties: Mapping[str, PropertyColumn] = Field(default_factory=dict)
    texture: tuple[str, str, str] | None = None
    missing: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    below_detection: Literal["exclude", "half"] = "exclude"


@dataclass(frozen=True)
class SampleSource:
    """Samples as they came from one or several files, ready to be read for the properties wanted.

    ``files`` maps the name of each file to its checksum: what decides which samples these are. ``licence`` is an SPDX
    identifier, None where the source names none; ``notes`` are what a user of the samples has to know. ``closed`` says
    why the samples themselves must not be given to others whatever is stated, None where their licence decides.
    """

    format: str
    title: str
    table: Table
    layout: SourceLayout
    files: Mapping[str, str]
    licence: str | None = None
    attribution: str | None = None
    period: Period | None = None
    notes: tuple[str, ...] = ()
    unavailable: Mapping[str, str] = field(default_factory=dict)
    closed: str | None = None

    @property
    def codes(self) -> tuple[str, ...]:
        """Properties the source is known to hold."""
        return tuple(self.layout.properties)

    def target(self, code: str) -> TargetSpec:
        """Where the property of this code stands.

        Raises:
            NotFound: when the source does not hold it; the message lists what it holds.
        """
        found = self.layout.properties.get(code)
        if found is None:
            why = self.unavailable.get(code, f"there are {', '.join(self.codes) or 'none that are known'}")
            raise NotFound(f"{self.title} has no property {code!r}", why)
        return TargetSpec(
            column=found.column, property=soil_property(code), unit=found.unit, factor=found.factor,
            detection_limit=found.detection_limit,
        )  # fmt: skip

    def spec(self, codes: Sequence[str] = (), *, targets: Sequence[TargetSpec] = (), **stated: Any) -> SampleSpec:
        """How the source is to be read for the properties ``codes``, and for columns stated as ``targets``.

        ``stated`` are fields of :class:`SampleSpec` (``depth``, ``depths_as_rows``, ``features``, ``crs`` ...); None
        stands for what the source says.

        Raises:
            NotFound: when the source does not hold a property.
            InvalidInput: when it is not known where coordinates stand, or what is stated contradicts the source.
        """
        named = (*(self.target(code) for code in codes), *targets)
        layout = self.layout
        known = {name: getattr(layout, name) for name in _SHARED}
        given = known | {name: value for name, value in stated.items() if value is not None}
        self._check_crs(given)
        self._check_depth(given)
        for name in ("x", "y", "crs"):
            if given[name] is None:
                raise InvalidInput(f"{self.title} does not say its {name}", f"state --{name}, or use a mapping file")
        return SampleSpec(targets=named, **given)

    def read(self, spec: SampleSpec) -> tuple[SampleTable, SampleReport]:
        """The checked samples and the report of every row, as :func:`producers.samples.read_samples` gives them."""
        table, report = samples_of(self.table, spec)
        return table, report.model_copy(update={"notes": (*report.notes, *self.notes)})

    def _check_crs(self, given: Mapping[str, Any]) -> None:
        own, stated = self.layout.crs, given["crs"]
        same_columns = (given["x"], given["y"]) == (self.layout.x, self.layout.y)
        if own is not None and stated is not None and same_columns and stated != own:
            raise InvalidInput(f"{self.title} is in {own}, not in {stated}", "leave the CRS away")

    def _check_depth(self, given: Mapping[str, Any]) -> None:
        own, stated = self.layout.depth, given["depth"]
        if given["upper"] is None and own is not None and stated != own:
            raise InvalidInput(f"{self.title} is of {own}, not of {stated}", f"ask for {own}")


def checksums(tables: Iterable[Table]) -> dict[str, str]:
    """Checksum of each file by its name; files of one name in several folders are numbered."""
    found: dict[str, str] = {}
    for table in tables:
        same = sum(name == table.name or name.startswith(f"{table.name} (") for name in found)
        found[table.name if not same else f"{table.name} ({same + 1})"] = table.checksum
    return found


_SHARED = (
    "x", "y", "crs", "id", "upper", "lower", "depth", "to_cm", "texture", "missing", "below", "below_detection",
)  # fmt: skip
