"""Tables joined by a key, and columns put into a table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cup4soil.errors import InvalidSamples, NotFound
from producers.tables import Table


def first_column(table: Table, names: Sequence[str]) -> str | None:
    """The column of the first of ``names`` that there is; case does not matter."""
    by_lower = {column.lower(): column for column in reversed(table.columns)}
    return next((by_lower[name.lower()] for name in names if name.lower() in by_lower), None)


def needed_column(table: Table, names: Sequence[str]) -> str:
    """As :func:`first_column`.

    Raises:
        NotFound: when there is none.
    """
    found = first_column(table, names)
    if found is None:
        raise NotFound(f"{table.name} has no column {names[0]!r}", f"there are {', '.join(table.columns[:40])}")
    return found


def with_columns(table: Table, columns: Mapping[str, Sequence[str]]) -> Table:
    """The table with columns added, one cell for each of its rows.

    Raises:
        InvalidSamples: when it already has a column of such a name.
    """
    for name in columns:
        if name in table.columns:
            raise InvalidSamples(f"{table.name} already has a column {name!r}", "rename it")
    rows = tuple((*row, *more) for row, more in zip(table.rows, zip(*columns.values(), strict=True), strict=True))
    return replace(table, columns=(*table.columns, *columns), rows=rows if columns else table.rows)


def joined(
    table: Table, keys: Sequence[str], other: Table, other_keys: Sequence[str], columns: Mapping[str, str]
) -> tuple[Table, list[str]]:
    """Add ``columns`` of ``other`` (its name: the name in the result) to the rows of the same key.

    Rows without a partner get blank cells. A key that ``other`` has several times with differing cells tells nothing:
    its cells stay blank. The notes say how many rows found a partner, and how many keys were ambiguous.

    Raises:
        NotFound: when a column is missing.
    """
    cells = list(zip(*(other.column(name) for name in columns), strict=True))
    found: dict[tuple[str, ...], tuple[str, ...] | None] = {}
    for key, values in zip(_keys(other, other_keys), cells, strict=True):
        found[key] = values if found.get(key, values) == values else None
    blank = ("",) * len(columns)
    partners = [found.get(key) for key in _keys(table, keys)]
    made = [partner or blank for partner in partners]
    ambiguous = sum(values is None for values in found.values())
    notes = [f"{other.name}: {sum(partner is not None for partner in partners)} of {len(made)} rows were joined."]
    if ambiguous:
        notes.append(f"{other.name}: {ambiguous} keys stand there several times with differing values; none was taken.")
    by_column = {name: [row[i] for row in made] for i, name in enumerate(columns.values())}
    return with_columns(table, by_column), notes


def _keys(table: Table, columns: Sequence[str]) -> list[tuple[str, ...]]:
    return list(zip(*([_plain(cell) for cell in table.column(name)] for name in columns), strict=True))


def _plain(cell: str) -> str:
    """Programs write the number 47862690 also as 47862690.0."""
    return cell[:-2] if cell.endswith(".0") and cell[:-2].isdigit() else cell
