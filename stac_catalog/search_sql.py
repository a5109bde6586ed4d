"""A query on the search index as SQL, page by page."""

from dataclasses import dataclass

from stac_catalog.search_conditions import ALWAYS, COLUMNS, Condition, Value, all_of, any_of, one_of
from stac_catalog.search_facts import Facts, meeting, touching
from stac_catalog.search_filter import condition_of
from stac_catalog.search_paging import Term, after, decode_token, order
from stac_catalog.search_probes import Probe
from stac_catalog.search_query import Query, SortField
from stac_catalog.search_text import probe_of


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL, its parameters, and the probes to which they refer by number."""

    sql: str
    parameters: tuple[Value, ...]
    probes: tuple[Probe, ...]


def page_statement(query: Query, facts: Facts, *, counted: bool = False) -> Statement:
    """Selects ``n`` and the sort key of the query's items: one more than the page has, to tell if there is a next.

    With ``counted`` each row also has the number of all that fit, which costs nothing where all are looked at.

    Raises:
        InvalidInput: when the token is not one of this query.
    """
    terms = _terms(query.sort)
    conditions = [where(query, facts)]
    if query.token is not None:
        conditions.append(after(terms, decode_token(query.token, query, terms)))
    condition = all_of(each for each in conditions if each != ALWAYS)
    columns = ", ".join(["i.n", *(term.sql for term in terms), *(["count(*) OVER ()"] if counted else [])])
    joins = " ".join(f"LEFT JOIN facts AS {alias} ON {on}" for alias, on in _joins(query.sort))
    sql = f"SELECT {columns} FROM items AS i {joins} WHERE {condition.sql} ORDER BY {order(terms)} LIMIT ?"  # noqa: S608
    names = tuple(field.name for field in query.sort if field.name not in COLUMNS)
    return statement(sql, (*names, *condition.parameters, query.limit + 1))


def count_statement(query: Query, facts: Facts) -> Statement:
    """Counts the query's items over all pages."""
    condition = where(query, facts)
    return statement(f"SELECT count(*) FROM items AS i WHERE {condition.sql}", condition.parameters)  # noqa: S608


def where(query: Query, facts: Facts) -> Condition:
    """What the query's items have in common."""
    parts = []
    if query.collections:
        parts.append(one_of("i.collection", query.collections))
    if query.without:
        parts.append(one_of("i.collection", query.without, wanted=False))
    if query.ids:
        parts.append(one_of("i.id", query.ids))
    if query.period is not None:
        start, end = query.period
        if end is not None:
            parts.append(Condition("i.start <= ?", (end,)))
        if start is not None:
            parts.append(Condition('i."end" >= ?', (start,)))
    if query.boxes:
        parts.append(any_of(touching(box) for box in query.boxes))
    if query.intersects is not None:
        parts.append(meeting(query.intersects))
    if query.filter is not None:
        parts.append(condition_of(query.filter, facts))
    if query.terms:
        parts.append(facts.evaluated(probe_of(query.terms)))
    return all_of(parts)


def _terms(sort: tuple[SortField, ...]) -> list[Term]:
    """What items are ordered by. Those that lack a property come last; ids make the order complete."""
    terms = []
    for number, field in enumerate(sort):
        if field.name in COLUMNS:
            terms.append(Term(COLUMNS[field.name][0], field.descending))
        else:
            terms += [Term(f"(s{number}.value IS NULL)"), Term(f"coalesce(s{number}.value, 0)", field.descending)]
    return [*terms, Term("i.collection"), Term("i.id")]


def _joins(sort: tuple[SortField, ...]) -> list[tuple[str, str]]:
    return [
        (f"s{number}", f"s{number}.item = i.n AND s{number}.name = ? AND s{number}.kind IN ('n', 's', 'b')")
        for number, field in enumerate(sort)
        if field.name not in COLUMNS
    ]


def statement(sql: str, parameters: tuple[Value | Probe, ...]) -> Statement:
    """The statement with every probe taken out of the parameters, for which its number stands."""
    probes: list[Probe] = []
    values: list[Value] = []
    for parameter in parameters:
        if isinstance(parameter, Probe):
            values.append(len(probes))
            probes.append(parameter)
        else:
            values.append(parameter)
    return Statement(sql, tuple(values), tuple(probes))
