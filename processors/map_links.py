"""What maps and tiles add to the descriptions of the API and its collections, and what of the standards is met."""

from typing import Final

from processors.map_pictures import PNG

_MAPS = "http://www.opengis.net/spec/ogcapi-maps-1/1.0/conf"
_TILES = "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf"
CONFORMANCE: Final = (
    *(f"{_MAPS}/{name}" for name in ("core", "tilesets", "crs", "datetime", "collection-map", "styled-map", "png")),
    *(f"{_TILES}/{name}" for name in ("core", "tileset", "tilesets-list", "png")),
    "http://www.opengis.net/spec/tms/2.0/conf/json-tilematrixset",
    "http://www.opengis.net/spec/tms/2.0/conf/json-tilesetmetadata",
    "http://www.opengis.net/spec/tms/2.0/conf/json-tilematrixsetlimits",
)
RELATION: Final = "http://www.opengis.net/def/rel/ogc/1.0/"


def map_links(collection: str) -> list[dict[str, str]]:
    """Links for the description of the collection at the address ``collection``."""
    return [
        link(f"{RELATION}map", PNG, "Default map (OGC API Maps)", f"{collection}/map"),
        link(f"{RELATION}tilesets-map", "application/json", "Map tiles (OGC API Tiles)", f"{collection}/map/tiles"),
        link(f"{RELATION}styles", "application/json", "Styles of the maps", f"{collection}/styles"),
        link("legend", PNG, "Legend of the default map", f"{collection}/legend?f=png"),
    ]


def link(rel: str, media_type: str, title: str, href: str) -> dict[str, str]:
    """A link as the OGC APIs write it."""
    return {"rel": rel, "type": media_type, "title": title, "href": href}
