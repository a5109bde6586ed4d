"""Legends of land-cover rasters: what their codes mean, in the codes of ESA WorldCover that the methods know.

One number means different things: 60 is bare ground in WorldCover and built-up land in another legend. So a raster
is never read without its legend, and a code that the legend does not know is an error.

Codes after: ESA WorldCover Product User Manual V2.0 (2022); CORINE Land Cover nomenclature with the numbering of the
raster files (GRID_CODE); Eurostat, LUCAS 2018 Technical reference document C3, whose letters rasters write as digits
(B32 is 232), as in d'Andrimont et al. 2021 (Remote Sensing of Environment 266, 112708), or alone (1 to 8), as in
Venter & Sydenham 2021 (Remote Sensing 13, 2301).
"""

import csv
import json
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidInput, InvalidRaster, NotFound, reading

# What a class is in WorldCover. "other" is a code that WorldCover lacks: neither masked nor compared with anything.
OTHER = 254
CLASSES: Mapping[str, int] = {
    "forest": 10,
    "shrub": 20,
    "grassland": 30,
    "cropland": 40,
    "built-up": 50,
    "bare": 60,
    "snow": 70,
    "water": 80,
    "wetland": 90,
    "mangrove": 95,
    "moss": 100,
    "other": OTHER,
    "none": 0,
}
DEFAULT_LEGEND = "worldcover"
MAX_LEGEND_BYTES = 1_000_000
# Codes are read as float32, which has every whole number up to here.
_MAX_CODE = 2**24
_COUNTED = 2**16


@dataclass(frozen=True, slots=True)
class Legend:
    """What the codes of a raster mean: ``classes`` holds one of the names of ``CLASSES`` for each code."""

    name: str
    title: str
    classes: Mapping[int, str]

    def translate(self, codes: NDArray[np.floating], source: Path) -> NDArray[np.float32]:
        """WorldCover's codes for the raster's, any shape, NaN where it has none.

        Raises:
            InvalidRaster: naming a code that the legend lacks.
        """
        known = ~np.isnan(codes)
        found, places = _distinct(codes[known])
        for code in found:
            if code not in self.classes:
                raise InvalidRaster(
                    f"{source} holds the code {code:g}, which is none of {self.title}'s",
                    f"choose its legend with --landcover-classes: {', '.join(BUILT_IN)}, or a file that maps its codes",
                )
        translated = np.full(codes.shape, np.nan, dtype=np.float32)
        translated[known] = np.array([CLASSES[self.classes[int(code)]] for code in found], dtype=np.float32)[places]
        return translated

    def parameters(self) -> str | dict[str, str]:
        """What decides a product made with this legend: the name of a built-in one, the mapping of any other."""
        if BUILT_IN.get(self.name) is self:
            return self.name
        return {str(code): name for code, name in sorted(self.classes.items())}


def _distinct(codes: NDArray[np.floating]) -> tuple[NDArray[np.number], NDArray[np.integer]]:
    """The distinct codes, and the place of each code among them; by counting where they are whole and near together."""
    whole = codes.astype(np.int64)
    if not codes.size or (whole != codes).any() or np.ptp(whole) > _COUNTED:
        found, places = np.unique(codes, return_inverse=True)
        return found, places
    present = np.bincount(whole - whole.min()) > 0
    return np.flatnonzero(present) + whole.min(), (np.cumsum(present) - 1)[whole - whole.min()]


def read_legend(legend: str | Path) -> Legend:
    """The built-in legend of this name, or the one in this file.

    A file is a JSON object ``{"211": "cropland", ...}``, or CSV with the columns ``code,class``.

    Raises:
        NotFound: when it is neither a name nor a file.
        InvalidInput: when the file is no legend.
    """
    if isinstance(legend, str) and legend.casefold() in BUILT_IN:
        return BUILT_IN[legend.casefold()]
    path = Path(legend)
    if not path.is_file():
        raise NotFound(f"no legend {str(legend)!r}", f"use {', '.join(BUILT_IN)}, or a JSON or CSV file")
    with reading(path):
        content = path.read_bytes()
    if len(content) > MAX_LEGEND_BYTES:
        raise InvalidInput(f"{path} is larger than {MAX_LEGEND_BYTES} bytes", "give one line for each code")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is no text in UTF-8", "save it as such") from error
    return Legend(path.name, path.name, _mapping(path, text))


def _mapping(path: Path, text: str) -> dict[int, str]:
    entries = _json_entries(path, text) if text.lstrip().startswith("{") else _csv_entries(path, text)
    classes: dict[int, str] = {}
    for code_text, name_text in entries:
        code, name = _code(path, code_text), str(name_text).strip().casefold()
        if name not in CLASSES:
            raise InvalidInput(f"{path} has the class {name_text!r} for {code}", f"use {', '.join(CLASSES)}")
        if code in classes:
            raise InvalidInput(f"{path} has the code {code} twice", "give each code once")
        classes[code] = name
    if not classes:
        raise InvalidInput(f"{path} holds no code", 'give a JSON object {"211": "cropland"} or CSV code,class')
    return classes


def _json_entries(path: Path, text: str) -> list[tuple[str, object]]:
    try:
        # As pairs, so that a code given twice is seen.
        entries: list[tuple[str, object]] = json.loads(text, object_pairs_hook=list)
    except (RecursionError, ValueError) as error:
        raise InvalidInput(f"{path} is no JSON: {error}", 'give an object {"211": "cropland"}') from error
    return entries


def _csv_entries(path: Path, text: str) -> Iterator[tuple[str, object]]:
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), strict=True)]
    except csv.Error as error:
        raise InvalidInput(f"{path} is no CSV: {error}", "give two columns, code,class") from error
    for number, row in enumerate(rows, 1):
        if not any(row) or (number == 1 and [cell.casefold() for cell in row] == ["code", "class"]):
            continue
        if len(row) != 2:
            raise InvalidInput(f"{path} has {len(row)} columns in line {number}", "give two columns, code,class")
        yield row[0], row[1]


def _code(path: Path, text: str) -> int:
    digits = text.removeprefix("-")
    if not digits or set(digits) - set(string.digits) or len(digits) > 8 or int(digits) > _MAX_CODE:
        raise InvalidInput(f"{path} has the code {text!r}", f"codes are whole numbers up to {_MAX_CODE}")
    return int(text)


def _by_code(groups: Mapping[str, Iterable[int]]) -> dict[int, str]:
    return {code: name for name, codes in groups.items() for code in codes}


def _corine() -> dict[int, str]:
    """By the code of the nomenclature (111 to 523) and by the number in the raster files (1 to 44).

    Cropland is arable land only: under vines and trees, and in mosaics with meadows, the index is another.
    Green urban areas and sports grounds (141, 142) are no built-up land.
    """
    classes = _by_code(
        {
            "built-up": (111, 112, 121, 122, 123, 124),
            "bare": (131, 132, 133, 331, 332, 333),
            "cropland": (211, 212, 213),
            "grassland": (231, 321),
            "forest": (311, 312, 313),
            "shrub": (322, 323, 324),
            "snow": (335,),
            "wetland": (411, 412, 421, 422, 423),
            "water": (511, 512, 521, 522, 523),
            "other": (141, 142, 221, 222, 223, 241, 242, 243, 244, 334),
        }
    )
    numbered = {number: classes[code] for number, code in enumerate(sorted(classes), 1)}
    unclassified = {48: "none", 999: "none", 49: "other", 255: "other", 990: "other", 50: "water", 995: "water"}
    return classes | numbered | unclassified


# Groups of LUCAS with the number of their classes: B3 has B31 to B37. Of B9 only bare arable land is found in rasters.
_LUCAS_GROUPS = {
    "A1": 3, "A2": 2, "A3": 0,
    "B1": 9, "B2": 3, "B3": 7, "B4": 5, "B5": 5, "B7": 7, "B8": 4, "B9": 0,
    "C1": 0, "C2": 3, "C3": 3, "D1": 0, "D2": 0, "E1": 0, "E2": 0, "E3": 0,
    "F1": 0, "F2": 0, "F3": 0, "F4": 0, "G1": 2, "G2": 2, "G3": 0, "G4": 0, "G5": 0, "H1": 2, "H2": 3,
}  # fmt: skip
# The longest beginning counts. Permanent crops, temporary grassland and fallow land are typical of no class.
_LUCAS_CLASSES = {
    "A": "built-up", "B": "cropland", "C": "forest", "D": "shrub", "E": "grassland", "F": "bare", "G": "water",
    "H": "wetland", "B55": "other", "B7": "other", "B8": "other", "E3": "other", "F3": "moss", "G5": "snow",
}  # fmt: skip


def _lucas() -> dict[int, str]:
    """Letters as digits: main groups as 1 to 8 and 100 to 800, groups as 11 and 110, classes as 111."""
    letters = {letter: str(number) for number, letter in enumerate("ABCDEFGH", 1)}
    names = set(letters) | {f"{letter}00" for letter in letters}
    for group, classes in _LUCAS_GROUPS.items():
        names |= {group, *(f"{group}{n}" for n in range(classes + 1))}
    found = {int(letters[name[0]] + name[1:]): _LUCAS_CLASSES[_longest(name)] for name in names}
    return found | {0: "none"}


def _longest(name: str) -> str:
    return max((beginning for beginning in _LUCAS_CLASSES if name.startswith(beginning)), key=len)


BUILT_IN: Mapping[str, Legend] = {
    legend.name: legend
    for legend in (
        Legend(DEFAULT_LEGEND, "ESA WorldCover", {code: name for name, code in CLASSES.items() if code != OTHER}),
        Legend("corine", "CORINE Land Cover", _corine()),
        Legend("lucas", "LUCAS", _lucas()),
    )
}
