"""What a client may change of a registered item: the words that its record holds. All else follows from the record."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from cup4soil.errors import InvalidInput
from cup4soil.licences import derived_licence
from cup4soil.products import ProductRecord, first_problem
from stac_catalog.lineage import notices
from stac_catalog.search_values import shown

type Document = Mapping[str, Any]
type Path = tuple[str, ...]

_MISSING: Final = object()
_SEPARATOR: Final = "; "
# Members of a complete item that a client may leave out, since they follow from the rest.
_DERIVED: Final = frozenset(
    {"type", "stac_version", "stac_extensions", "id", "collection", "geometry", "bbox", "links"}
)


def merge_patch(target: Any, patch: Any) -> Any:
    """A document after a patch (RFC 7396): members that are null are taken away, objects are merged."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def completed(old: Document, given: Document) -> dict[str, Any]:
    """A whole item from what a client gave in place of ``old``: what follows from the rest may be left out.

    Links may be fewer, since a client keeps those it understands, but none may be new.
    """
    new = {**{name: old[name] for name in _DERIVED if name in old}, **given}
    known = {(each["rel"], each["href"]) for each in old["links"]}
    for each in new["links"] if isinstance(new["links"], list) else [new["links"]]:
        if not isinstance(each, Mapping) or (each.get("rel"), each.get("href")) not in known:
            raise InvalidInput(f"links has {shown(each)}", "leave links as they are: they follow from the product")
    new["links"] = old["links"]
    for member in ("properties", "assets"):
        if isinstance(given.get(member, {}), Mapping):
            kept = {name: each for name, each in old[member].items() if (member, name) not in _EDITS}
            new[member] = kept | dict(given.get(member, {}))
    return new


def changed_record(record: ProductRecord, old: Document, new: Document) -> ProductRecord:
    """The record whose item differs from the item ``old`` of ``record`` as ``new`` does.

    Raises:
        InvalidInput: when something else is changed than words that the record holds, or a value cannot be used.
        LicenceConflict: when the sources of the product do not allow the licence.
    """
    fields = record.model_dump(mode="json")
    for path in differing(old, new):
        edit = _EDITS.get(path) or (_asset if _is_words_of_asset(path, record) else None)
        if edit is None:
            raise InvalidInput(
                f"{shown('.'.join(path))} is not to be changed: it follows from how the product was made",
                f"change {', '.join('.'.join(each) for each in _EDITS)}, or title and description of a layer",
            )
        edit(fields, path, _at(new, path))
    try:
        changed = ProductRecord.model_validate(fields)
    except ValidationError as error:
        raise InvalidInput(f"the item cannot be: {first_problem(error)}", "mend it") from error
    _check_terms(record, changed)
    return changed


def differing(old: Any, new: Any, path: Path = ()) -> Iterator[Path]:
    """Paths of the members in which two documents differ; lists differ as a whole."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        if old != new or isinstance(old, bool) != isinstance(new, bool):
            yield path
        return
    for name in dict.fromkeys((*old, *new)):
        yield from differing(old.get(name, _MISSING), new.get(name, _MISSING), (*path, name))


def _check_terms(before: ProductRecord, after: ProductRecord) -> None:
    """Neither the licence nor the credit that the sources ask for may be lost."""
    if after.licence != before.licence:
        allowed = derived_licence((each.licence for each in after.sources), after.licence)
        if allowed != after.licence:
            raise InvalidInput(f"license is {shown(after.licence)}", f"the sources ask for {allowed}")
    credited = _SEPARATOR.join(after.attribution)
    for source in after.sources:
        if source.attribution and source.attribution not in credited and source.attribution in before.attribution:
            raise InvalidInput("attribution leaves out a source", f"keep {shown(source.attribution)} in it")


def _at(document: Any, path: Path) -> Any:
    for name in path:
        document = document.get(name, _MISSING) if isinstance(document, Mapping) else _MISSING
    return document


def _text(path: Path, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(f"{'.'.join(path)} is {'taken away' if value is _MISSING else shown(value)}", "give text")
    return value


def _texts(path: Path, value: Any) -> list[str]:
    if value is _MISSING:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) and each.strip() for each in value):
        raise InvalidInput(f"{'.'.join(path)} is {shown(value)}", "give a list of text")
    return value


def _title(fields: dict[str, Any], path: Path, value: Any) -> None:
    fields["title"] = _text(path, value)


def _description(fields: dict[str, Any], path: Path, value: Any) -> None:
    """What is put before every description of such a product is none of the client's words."""
    words = _text(path, value)
    for notice in notices(ProductRecord.model_construct(**fields)):
        words = words.replace(notice, "").strip()
    fields["abstract"] = _text(path, words)


def _keywords(fields: dict[str, Any], path: Path, value: Any) -> None:
    fields["keywords"] = _texts(path, value)


def _limitations(fields: dict[str, Any], path: Path, value: Any) -> None:
    """More may be said of what a product is not good for, not less."""
    given = _texts(path, value)
    if missing := [each for each in fields["limitations"] if each not in given]:
        raise InvalidInput(f"{'.'.join(path)} leaves out {shown(missing[0])}", "keep it: limitations can be added")
    fields["limitations"] = given


def _licence(fields: dict[str, Any], path: Path, value: Any) -> None:
    fields["licence"] = _text(path, value)


def _attribution(fields: dict[str, Any], path: Path, value: Any) -> None:
    fields["attribution"] = [] if value is _MISSING else _text(path, value).split(_SEPARATOR)


def _asset(fields: dict[str, Any], path: Path, value: Any) -> None:
    _, key, name = path
    for part in (*fields["layers"], *fields["documents"]):
        if part["name"] == key:
            part[name] = _text(path, value)


def _is_words_of_asset(path: Path, record: ProductRecord) -> bool:
    match path:
        case ("assets", key, "title"):
            return key in {*(each.name for each in record.layers), *(each.name for each in record.documents)}
        case ("assets", key, "description"):
            return key in {each.name for each in record.layers}
    return False


_EDITS: Final[dict[Path, Callable[[dict[str, Any], Path, Any], None]]] = {
    ("properties", "title"): _title,
    ("properties", "description"): _description,
    ("properties", "keywords"): _keywords,
    ("properties", "license"): _licence,
    ("properties", "attribution"): _attribution,
    ("properties", "cup4soil:limitations"): _limitations,
}
