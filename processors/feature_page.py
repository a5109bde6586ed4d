"""Pages about features for people who follow their links in a browser."""

from collections.abc import Sequence
from typing import Any

from processors.feature_documents import GEOJSON
from processors.feature_schemas import PROPERTIES
from processors.pages import page


def features_page(
    collection: str,
    found: Sequence[dict[str, Any]],
    names: Sequence[str],
    links: Sequence[dict[str, str]],
    matched: int | None,
) -> str:
    """HTML with a table of features; it loads nothing from elsewhere."""
    by_rel = {link["rel"]: link["href"] for link in links}
    json = next(link["href"] for link in links if link["type"] == GEOJSON)
    shown = [name for name in names if any(each["properties"].get(name) is not None for each in found)]
    # What is the same everywhere is said once.
    same = [
        name for name in shown if len(found) > 1 and len({str(each["properties"].get(name)) for each in found}) == 1
    ]
    return page(
        "features_page.html",
        # Of .../collections/{id}/items.
        "../..",
        collection=collection,
        found=found,
        names=[name for name in shown if name not in same],
        same={name: found[0]["properties"][name] for name in same},
        titles=_titles(collection),
        links=by_rel,
        json=json,
        matched=matched,
    )


def feature_page(collection: str, feature: dict[str, Any], links: Sequence[dict[str, str]]) -> str:
    """HTML with everything that is known of a feature."""
    json = next(link["href"] for link in links if link["type"] == GEOJSON)
    return page(
        "feature_page.html",
        # Of .../collections/{id}/items/{feature}.
        "../../..",
        collection=collection,
        feature=feature,
        titles=_titles(collection),
        json=json,
    )


def _titles(collection: str) -> dict[str, str]:
    return {name: each["title"] for name, each in PROPERTIES[collection].items()}
