"""Requests made from the OpenAPI document of a running service: none may end in an error of the server, and every
answer has a status and a media type that the document states.

``python -m benchmarks.openapi_fuzz ADDRESS [--examples N] [--seed N]`` asks each operation N times, half of them with
what the document forbids, and prints what was answered. Without it, known ids would hardly be met: most path parameters
are those of the store.
"""

import argparse
import json
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
# What path parameters are called, by what they name.
_COLLECTIONS = ("collectionId", "collection_id", "collection", "layer")
_MODES = {True: GenerationMode.POSITIVE, False: GenerationMode.NEGATIVE}


@dataclass
class Outcome:
    """What was answered: statuses by number, and what broke the document's promises, by operation."""

    statuses: Counter[int] = field(default_factory=Counter)
    broken: dict[str, str] = field(default_factory=dict)


def fuzz(root: str, examples: int, *, number: int = 0, only: str = "") -> Outcome:
    """Ask each operation of the service at ``root`` (those whose path contains ``only``) ``examples`` times."""
    outcome = Outcome()
    with httpx.Client(base_url=root, timeout=120) as client:
        document = client.get("/openapi.json").json()
        known = dict(_known(client))
    with warnings.catch_warnings():
        # What schemathesis cannot make it says each time.
        warnings.simplefilter("ignore")
        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            operation = found.ok()
            if only in operation.path:
                _ask(operation, root, known, outcome, examples, number)
    return outcome


def _known(client: httpx.Client) -> Iterator[tuple[str, list[str]]]:
    """Values of path parameters that the service knows."""
    collections = [each["id"] for each in client.get("/stac/collections").json()["collections"]]
    items = [each["id"] for each in client.get("/stac/search?limit=20").json()["features"]]
    yield from ((name, collections) for name in _COLLECTIONS)
    yield from ((name, items) for name in ("recordId", "item_id", "item"))
    sites = client.get("/ogc/collections/validation-sites/items?limit=5")
    if sites.is_success:
        yield "featureId", [each["id"] for each in sites.json()["features"]]
    yield from {"styleId": ["mean", "q05"], "style": ["mean"], "tileMatrix": ["5", "9"], "z": ["5", "9"]}.items()
    yield from {"tile_matrix": ["5"], "tile_matrix_set": ["WebMercatorQuad"], "form": ["iso19139", "dcat"]}.items()


def _ask(
    operation: Any, root: str, known: Mapping[str, list[str]], outcome: Outcome, examples: int, number: int
) -> None:
    modes = [operation.as_strategy(generation_mode=mode) for mode in _MODES.values()]

    @seed(number)
    @settings(
        max_examples=examples,
        suppress_health_check=list(HealthCheck),
        deadline=None,
        database=None,
        phases=[Phase.generate],
    )
    @given(case=st.one_of(modes), place=st.integers(0, 10))
    def ask(case: Any, place: int) -> None:
        for name in case.path_parameters or {}:
            if name in known and known[name] and place:
                case.path_parameters[name] = known[name][place % len(known[name])]
        answer = case.call(base_url=root)
        outcome.statuses[answer.status_code] += 1
        try:
            case.validate_response(answer, checks=list(CHECKS))
        except (Failure, FailureGroup) as error:
            told = [str(each) for each in getattr(error, "exceptions", [error])]
            outcome.broken.setdefault(operation.label, f"{answer.request.url}: {answer.status_code} {'; '.join(told)}")

    try:
        ask()
    except Exception as error:  # noqa: BLE001 - told like the others
        outcome.broken.setdefault(operation.label, f"{type(error).__name__}: {error}")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="of the service, such as http://127.0.0.1:8000")
    parser.add_argument("--examples", type=int, default=40, help="requests for each operation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="ask paths that contain this")
    given_ = parser.parse_args()
    outcome = fuzz(given_.address.rstrip("/"), given_.examples, number=given_.seed, only=given_.only)
    print(json.dumps({"requests": outcome.statuses.total(), "statuses": dict(outcome.statuses.most_common())}))
    for name, told in outcome.broken.items():
        print(f"{name}\n  {told}")
    sys.exit(1 if outcome.broken else 0)


if __name__ == "__main__":
    main()
