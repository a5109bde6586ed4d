"""The plain pygeoapi server on a store: ``pygeoapi-config.yml`` names :class:`StoreManager` as its manager.

``python -m processors.plain > openapi.json`` writes the OpenAPI document that pygeoapi wants at its start.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cup4soil.errors import InvalidInput
from processors.coverage_catalog import catalog_of, store_of_environment
from processors.jobs.manager import QueueManager
from processors.openapi import openapi_document
from processors.resources import Addresses, StoreResources

_SERVERS = ("pygeoapi.flask_app", "pygeoapi.starlette_app")


class StoreManager(QueueManager):
    """The job queue; being the one plugin that pygeoapi makes when it starts, it also brings the collections in."""

    def __init__(self, manager_def: Mapping[str, Any]) -> None:
        super().__init__(manager_def)
        follow_store(Path(self.connection) if self.connection else store_of_environment())


def follow_store(root: Path) -> None:
    """Put the live collections of the store in ``root`` into the configuration of pygeoapi's server modules.

    Raises:
        NotFound: when there is no store.
    """
    for name in _SERVERS:
        config = getattr(sys.modules.get(name), "CONFIG", None)
        if config is not None:
            addresses = Addresses(ogc=str(config["server"]["url"]).rstrip("/"))
            config["resources"] = StoreResources(catalog_of(root), addresses, config["resources"])


def main() -> None:
    """Write the OpenAPI document of the configuration that ``PYGEOAPI_CONFIG`` names to standard output."""
    from pygeoapi.config import get_config

    if "PYGEOAPI_CONFIG" not in os.environ:
        raise InvalidInput("PYGEOAPI_CONFIG is not set", "name a configuration such as pygeoapi-config.yml")
    sys.stdout.write(json.dumps(openapi_document(get_config(), plain=True), indent=1) + "\n")


if __name__ == "__main__":
    main()
