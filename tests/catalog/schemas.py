"""Schemas of STAC and its extensions as files, for validators that would fetch them."""

import json
from pathlib import Path

from pystac.validation.local_validator import get_local_schema_cache

from stac_catalog.extensions import extension_schemas


def local_schemas(folder: Path) -> dict[str, str]:
    """Write each schema into ``folder``; gives the path of each by its address."""
    places = {}
    for number, (uri, schema) in enumerate((get_local_schema_cache() | extension_schemas()).items()):
        path = folder / f"{number}.json"
        path.write_text(json.dumps(schema))
        places[uri] = str(path)
    return places
