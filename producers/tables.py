"""Reading tables of text: encoding, delimiter and decimal sign are found out, row numbers are kept."""

import csv
import io
import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidSamples, LimitExceeded, NotFound, reading
from cup4soil.products import file_checksum

MAX_TABLE_BYTES = 1 << 30
_DELIMITERS = (",", ";", "\t", "|")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_COMMA_NUMBER = re.compile(r"[+-]?(?:\d+,\d*|,\d+)(?:[eE][+-]?\d+)?")
# "< 0.5", "<LOD", "BDL", "below detection limit".
_BELOW_DETECTION = re.compile(
    r"[<\u2264]\s*=?\s*(?:[\d.,]|m?dl|mql|lo[dq]|detection|quantification).*"
    r"|lo[dq]|b\.?d\.?l\.?|(?:below|under) .*detection.*",
    re.IGNORECASE,
)
_MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "-", "."})


@dataclass(frozen=True, slots=True)
class Table:
    """A table as text. Row numbers count as a spreadsheet does: the header is row 1.

    ``rows`` holds the rows that have a cell for every column; ``ragged`` maps the numbers of those that
    do not to their count of cells, ``empty`` names the blank ones. ``width`` counts the columns of the file, of
    which ``columns`` are those that were kept.
    """

    name: str
    checksum: str
    encoding: str
    delimiter: str
    columns: tuple[str, ...]
    numbers: tuple[int, ...]
    rows: tuple[tuple[str, ...], ...]
    ragged: dict[int, int]
    empty: tuple[int, ...]
    width: int

    @property
    def total(self) -> int:
        """Rows below the header, of whatever kind."""
        return len(self.rows) + len(self.ragged) + len(self.empty)

    def column(self, name: str) -> list[str]:
        """Cells of a column, stripped.

        Raises:
            NotFound: when there is no such column; the message lists those there are.
            InvalidSamples: when two columns have this name.
        """
        if name not in self.columns:
            raise NotFound(f"{self.name} has no column {name!r}", f"there are {', '.join(self.columns)}")
        if self.columns.count(name) > 1:
            raise InvalidSamples(
                f"{self.name} has {self.columns.count(name)} columns {name!r}", "name each column once"
            )
        index = self.columns.index(name)
        return [row[index] for row in self.rows]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Cells read as numbers: NaN where ``missing`` (blank, NA) and where ``wrong`` (no number).

    ``below`` are those of the wrong ones that say the value is below a limit of detection, ``limits`` the limit
    where the cell names it (``< 0.5``), else NaN.
    """

    values: NDArray[np.float64]
    missing: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    below: NDArray[np.bool_]
    limits: NDArray[np.float64]


def read_table(path: Path, keep: Collection[str] | None = None) -> Table:
    """Read a CSV file: UTF-8 with or without byte order mark, else Latin-1; comma, semicolon, tab or bar.

    ``keep`` names the columns wanted, of which those that are there are held: large tables then take less memory.

    Raises:
        NotFound: when there is no such file.
        InvalidSamples: when it is no table of text.
        LimitExceeded: when it is larger than 1 GiB.
    """
    check_samples_file(path)
    text, encoding = _decode(path)
    header, _, _ = text.lstrip("\n").partition("\n")
    delimiter = _delimiter(header)
    records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        return _table(path, encoding, delimiter, records, keep)
    except csv.Error as error:
        raise InvalidSamples(f"{path} is no CSV table: {error}", "mend its quoting") from error


def read_header(path: Path) -> tuple[str, ...]:
    """Names of the columns of a CSV file, from its first 64 KiB; see :func:`read_table`."""
    check_samples_file(path)
    with reading(path, InvalidSamples), path.open("rb") as stream:
        start = _unix(stream.read(1 << 16).decode("utf-8-sig", errors="replace")).lstrip("\n")
    header = start.partition("\n")[0]
    return tuple(cell.strip() for cell in next(csv.reader([header], delimiter=_delimiter(header)), []))


def check_samples_file(path: Path) -> None:
    """Refuse a path at which there is no file.

    Raises:
        NotFound: when there is no such file.
        InvalidSamples: when it must not be looked at.
    """
    with reading(path, InvalidSamples):
        if not path.is_file():
            raise NotFound(f"no samples at {path}", "give the path of a CSV file")


def numbers_of(
    cells: Sequence[str], decimal_comma: bool, missing_words: Sequence[str] = (), below_words: Sequence[str] = ()
) -> Numbers:
    """Read cells as numbers. Blank cells and the usual words for a missing value are missing, not wrong.

    ``missing_words`` are further words for a missing value, or numbers that stand for one (-9999), ``below_words``
    for a value below the limit of detection; case does not matter.
    """
    words = _MISSING | {word.strip().lower() for word in missing_words}
    absent = {float(word) for word in words if _NUMBER.fullmatch(word)}
    lesser = {word.strip().lower() for word in below_words}
    values = np.array([_number(cell, decimal_comma) for cell in cells], dtype=np.float64)
    below = np.array([cell.lower() in lesser or _BELOW_DETECTION.fullmatch(cell) is not None for cell in cells], bool)
    missing = np.array([cell.lower() in words for cell in cells], dtype=bool) | np.isin(values, list(absent))
    values[missing | below] = np.nan
    limits = np.array([_limit(cell, decimal_comma) if low else np.nan for cell, low in zip(cells, below, strict=True)])
    return Numbers(values, missing, np.isnan(values) & ~missing, below, limits.astype(np.float64))


def _number(cell: str, decimal_comma: bool) -> float:
    text = cell.replace(",", ".") if decimal_comma and _COMMA_NUMBER.fullmatch(cell) else cell
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return value if math.isfinite(value) else math.nan


def _limit(cell: str, decimal_comma: bool) -> float:
    """The limit that ``< 0.5`` names; NaN where none is named, or none above 0."""
    found = _number(cell.lstrip("<\u2264= \t"), decimal_comma)
    return found if found > 0 else math.nan


def has_decimal_comma(table: Table, columns: Sequence[str]) -> bool:
    """True when the numbers of ``columns`` are written 1,5: in a table not parted by commas, and none as 1.5."""
    if table.delimiter == ",":
        return False
    cells = [cell for column in columns for cell in table.column(column)]
    with_comma = any(_COMMA_NUMBER.fullmatch(cell) for cell in cells)
    return with_comma and not any("." in cell and _NUMBER.fullmatch(cell) for cell in cells)


def _decode(path: Path) -> tuple[str, str]:
    with reading(path, InvalidSamples):
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise LimitExceeded(f"{path} is larger than {MAX_TABLE_BYTES >> 20} MiB", "give the rows of one region")
        content = path.read_bytes()
    if not content.strip():
        raise InvalidSamples(f"{path} is empty", "give a table with a header and one row for each sample")
    if b"\x00" in content or content.startswith((b"PK", b"\xff\xfe", b"\xfe\xff")):
        raise InvalidSamples(f"{path} is no table of text", "save it as CSV in UTF-8")
    try:
        return _unix(content.decode("utf-8-sig")), "utf-8"
    except UnicodeDecodeError:
        return _unix(content.decode("latin-1")), "latin-1"


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _delimiter(header: str) -> str:
    outside = re.sub(r'"[^"]*"', "", header)
    return max(_DELIMITERS, key=outside.count)


def _table(
    path: Path, encoding: str, delimiter: str, records: Iterator[list[str]], keep: Collection[str] | None
) -> Table:
    header = [cell.strip() for cell in next(records, [])]
    if len(header) < 2:
        raise InvalidSamples(f"{path} has no header of column names", "name the columns in row 1, parted by commas")
    kept = [i for i, name in enumerate(header) if keep is None or name in keep]
    numbers, rows, ragged, empty = [], [], {}, []
    for number, record in enumerate(records, 2):
        cells = [cell.strip() for cell in record]
        if not any(cells):
            empty.append(number)
        elif len(cells) != len(header):
            ragged[number] = len(cells)
        else:
            numbers.append(number)
            rows.append(tuple(cells[i] for i in kept))
    columns = tuple(header[i] for i in kept)
    checksum = file_checksum(path)
    return Table(
        path.name,
        checksum,
        encoding,
        delimiter,
        columns,
        tuple(numbers),
        tuple(rows),
        ragged,
        tuple(empty),
        len(header),
    )
