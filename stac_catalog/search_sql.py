"""A query on the embedded index as SQL."""

from collections.abc import Sequence

from stac_catalog.search_conditions import COLUMNS, FALSE, NEVER, TRUE, Ask, Condition, all_of, one_of, rendered
from stac_catalog.search_facts import Known
from stac_catalog.search_paging import Key, Term, after, order
from stac_catalog.search_query import SortField


def candidates(condition: Condition, sort: Sequence[SortField], key: Key | None, most: int) -> Ask:
    """Selects the first items after ``key`` that may fit: ``n``, whether that is sure, and the sort key.

    It is not sure where a probe has to be asked.
    """
    terms = sort_terms(sort)
    may_fit = rendered(condition if key is None else all_of([condition, after(terms, key)]), lambda _: TRUE)
    unsure = all_of(part for part in condition.parts or (condition,) if part.probes)
    sure = rendered(unsure, lambda _: FALSE)
    columns = ", ".join(["i.n", f"({sure.sql}) IS TRUE", *(term.sql for term in terms)])
    joins = " ".join(f"LEFT JOIN facts AS {alias} ON {on}" for alias, on in _joins(sort))
    sql = f"SELECT {columns} FROM items AS i {joins} WHERE {may_fit.sql} ORDER BY {order(terms)} LIMIT ?"  # noqa: S608
    names = [field.name for field in sort if field.name not in COLUMNS]
    return Ask(sql, [*sure.parameters, *names, *may_fit.parameters, most])


def narrowed(condition: Condition, sort: Sequence[SortField], known: Known) -> Condition:
    """The condition together with what it tells of collections."""
    if condition.within is None:
        return condition
    if not condition.within:
        return NEVER
    # The index of collections must not be taken for a quicker way to items that are known one by one, nor to the first
    # of an order of its own when most collections have to be looked at.
    slow = condition.listed or (bool(sort) and 2 * len(condition.within) > _count(known))
    return all_of([one_of("+i.collection" if slow else "i.collection", sorted(condition.within)), condition])


def _count(known: Known) -> int:
    return len(known.collections("SELECT id FROM collections", {}) or ())


def sort_terms(sort: Sequence[SortField]) -> list[Term]:
    """What items are ordered by. Those that lack a property come last; ids make the order complete."""
    terms = []
    for number, field in enumerate(sort):
        if field.name in COLUMNS:
            terms.append(Term(COLUMNS[field.name][0], field.descending))
        else:
            terms += [Term(f"(s{number}.value IS NULL)"), Term(f"coalesce(s{number}.value, 0)", field.descending)]
    return [*terms, Term("i.collection"), Term("i.id")]


def _joins(sort: Sequence[SortField]) -> list[tuple[str, str]]:
    return [
        (f"s{number}", f"s{number}.item = i.n AND s{number}.name = ? AND s{number}.kind IN ('n', 's', 'b')")
        for number, field in enumerate(sort)
        if field.name not in COLUMNS
    ]
