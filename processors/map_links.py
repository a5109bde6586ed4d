"""What maps and tiles add to the descriptions of the API and its collections."""

from typing import Final

from processors.map_pictures import PNG

RELATION: Final = "http://www.opengis.net/def/rel/ogc/1.0/"


TILING_SCHEMES: Final = f"{RELATION}tiling-schemes"


def tiling_schemes(ogc: str) -> dict[str, str]:
    """The link of the landing page of the API at ``ogc`` to the tile matrix sets."""
    return link(TILING_SCHEMES, "application/json", "Tile matrix sets", f"{ogc}/tileMatrixSets")


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
