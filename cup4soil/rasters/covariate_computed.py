"""Computed covariates: spectral indices and oblique coordinates, declared by a text that a model can keep.

The text is ``KIND:WHAT@WHERE``: ``indices:ndvi,nbr2@SRC`` (indices of the bands ``SRC_B02`` ...; ``all`` for all) or
``oblique:6@EPSG:25832`` (coordinates along six directions of that CRS).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyproj
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

from cup4soil.errors import InvalidInput, NotFound
from cup4soil.grids import crs_code, parse_metric_crs
from cup4soil.methods.spectral_indices import INDICES, SpectralIndex, spectral_index

MAX_DIRECTIONS = 100
_FORMS = "indices:ndvi,nbr2@SRC or oblique:6@EPSG:25832"

type Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ComputedCovariate:
    """One covariate made of others or of the place of a cell.

    ``inputs`` are the names of the covariates it is made of, ``axes`` the CRS of the coordinates it is made of.
    ``spec`` is the text it alone is declared by, but for oblique coordinates, whose number is part of what they are.
    """

    name: str
    unit: str | None
    formula: str
    spec: str
    function: Callable[..., Array]
    inputs: tuple[str, ...] = ()
    axes: CRS | None = None

    def compute(self, inputs: Sequence[Array], coordinates: "Coordinates") -> Array:
        """Values of the covariate where ``inputs`` are those of :attr:`inputs`."""
        if self.axes is None:
            return self.function(*inputs)
        return self.function(*coordinates.within(self.axes))


class Coordinates:
    """Places given in ``crs``, brought to another one once for all covariates that ask for it."""

    def __init__(self, x: NDArray[np.float64], y: NDArray[np.float64], crs: CRS) -> None:
        self._x, self._y, self._crs = x, y, crs
        self._known: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    @classmethod
    def of_cells(cls, geobox: GeoBox, crs: CRS) -> "Coordinates":
        """Centres of all cells of a grid."""
        affine, (rows, cols) = geobox.affine, geobox.shape
        x, y = np.meshgrid(affine.c + (np.arange(cols) + 0.5) * affine.a, affine.f + (np.arange(rows) + 0.5) * affine.e)
        return cls(x, y, crs)

    def within(self, crs: CRS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Easting and northing in ``crs``, NaN where it does not reach."""
        code = crs_code(crs)
        if code not in self._known:
            transformer = pyproj.Transformer.from_crs(crs_code(self._crs), code, always_xy=True)
            axes = [np.asarray(axis, dtype=np.float64) for axis in transformer.transform(self._x, self._y)]
            self._known[code] = tuple(np.where(np.isfinite(axis), axis, np.nan) for axis in axes)  # type: ignore[assignment]
        return self._known[code]


def parse_computed(specs: Sequence[str], given: Sequence[str], crs: CRS) -> tuple[ComputedCovariate, ...]:
    """The covariates that ``specs`` declare beside those ``given`` by name; ``crs`` is that of oblique ones without.

    Raises:
        InvalidInput: when a text declares nothing that can be computed, or a name twice.
        NotFound: when a band of an index is missing.
    """
    computed = [each for spec in specs for each in _parse(spec, given, crs)]
    names = [*given, *(each.name for each in computed)]
    for each in computed:
        if names.count(each.name) > 1:
            raise InvalidInput(f"covariate {each.name!r} is declared twice", "declare each computed covariate once")
    return tuple(computed)


def _parse(spec: str, given: Sequence[str], crs: CRS) -> list[ComputedCovariate]:
    kind, separator, rest = spec.strip().partition(":")
    what, _, where = rest.partition("@")
    if separator and kind == "indices" and what and where:
        return [_index(index, where, given) for index in _indices(what)]
    if separator and kind == "oblique" and what:
        return _oblique(what, parse_metric_crs(where or crs_code(crs)))
    raise InvalidInput(f"{spec!r} declares no computed covariate", f"give {_FORMS}")


def _indices(what: str) -> list[SpectralIndex]:
    if what.strip().lower() == "all":
        return list(INDICES.values())
    return [spectral_index(name) for name in what.split(",")]


def _index(index: SpectralIndex, layer: str, given: Sequence[str]) -> ComputedCovariate:
    inputs = tuple(f"{layer}_{band}" for band in index.bands)
    missing = [name for name in inputs if name not in given]
    if missing:
        raise NotFound(
            f"{index.name.lower()} needs the covariate {missing[0]!r}", f"there are {', '.join(given) or 'none'}"
        )
    return ComputedCovariate(
        name=f"{layer}_{index.name}",
        unit=None,
        formula=f"{index.formula} of {layer}",
        spec=f"indices:{index.name.lower()}@{layer}",
        function=lambda *bands: index.compute(bands),
        inputs=inputs,
    )


def _oblique(what: str, crs: CRS) -> list[ComputedCovariate]:
    """Oblique geographic coordinates of Moller et al. (2020), SOIL 6, 269-289: directions evenly over 180 degrees."""
    try:
        number = int(what)
    except ValueError:
        number = 0
    if not 1 <= number <= MAX_DIRECTIONS:
        raise InvalidInput(
            f"oblique coordinates along {what!r} directions cannot be made", f"give 1 to {MAX_DIRECTIONS}, such as 6"
        )
    # What is computed is written with one wording, so that equal covariates compare equal.
    code = crs_code(crs)
    return [
        ComputedCovariate(
            name=f"oblique_{index:02d}",
            unit="m",
            formula=f"x cos {180 * index / number:.6g} deg + y sin {180 * index / number:.6g} deg in {code}",
            spec=f"oblique:{number}@{code}",
            function=_along(math.pi * index / number),
            axes=crs,
        )
        for index in range(number)
    ]


def _along(angle_rad: float) -> Callable[[NDArray[np.float64], NDArray[np.float64]], Array]:
    # In float32 a northing of 5 000 km still tells half a metre apart.
    def place(x: NDArray[np.float64], y: NDArray[np.float64]) -> Array:
        return (x * math.cos(angle_rad) + y * math.sin(angle_rad)).astype(np.float32)

    return place


def compute_all(
    computed: Sequence[ComputedCovariate], values: Mapping[str, Array], coordinates: Coordinates
) -> list[Array]:
    """Values of computed covariates, in their order, where the others have ``values``."""
    return [each.compute([values[name] for name in each.inputs], coordinates) for each in computed]
