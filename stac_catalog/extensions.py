"""The STAC extensions that items use, and their schemas, which lie beside this module."""

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

_BASE = "https://stac-extensions.github.io"

# Our own. The address is to be redirected to where a service has the schema: docs/stac-extension.md.
CUP4SOIL: Final = "https://w3id.org/cup4soil/stac/v1.0.0/schema.json"
CLASSIFICATION: Final = f"{_BASE}/classification/v2.0.0/schema.json"
EO: Final = f"{_BASE}/eo/v2.0.0/schema.json"
FILE: Final = f"{_BASE}/file/v2.1.0/schema.json"
MLM: Final = f"{_BASE}/mlm/v1.4.0/schema.json"
PROCESSING: Final = f"{_BASE}/processing/v1.2.0/schema.json"
PROJECTION: Final = f"{_BASE}/projection/v2.0.0/schema.json"
RASTER: Final = f"{_BASE}/raster/v2.0.0/schema.json"
SCIENTIFIC: Final = f"{_BASE}/scientific/v1.0.0/schema.json"
VERSION: Final = f"{_BASE}/version/v1.2.0/schema.json"

USED: Final = (CLASSIFICATION, CUP4SOIL, EO, FILE, MLM, PROCESSING, PROJECTION, RASTER, SCIENTIFIC, VERSION)
# What the schema of mlm refers to.
_REFERRED = (f"{_BASE}/processing/v1.1.0/schema.json", f"{_BASE}/raster/v1.1.0/schema.json")


@cache
def extension_schemas() -> dict[str, dict[str, Any]]:
    """JSON schemas by the address under which extensions are declared."""
    return {uri: _read(uri) for uri in (*USED, *_REFERRED)}


def _read(uri: str) -> dict[str, Any]:
    name, version = ("cup4soil", "v1.0.0") if uri == CUP4SOIL else uri.split("/")[-3:-1]
    text = files("stac_catalog").joinpath("schemas", f"{name}-{version}.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
