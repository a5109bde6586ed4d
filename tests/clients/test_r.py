"""R with terra and sf."""

from pathlib import Path

import pytest

from tests import needs
from tests.clients.conftest import Site, told
from tests.clients.reading import reads
from tests.processors.coverages.worlds import COLLECTION

pytestmark = pytest.mark.xdist_group("clients")
_SCRIPT = """
suppressMessages({{library(terra); library(sf)}})
map <- rast("/vsicurl/{cog}")
cat("cell", unlist(extract(map, cbind(463610, 5804990))), crs(map, describe = TRUE)$code, "\\n")
layers <- rast("{url}/ogc/collections/soc/coverage?properties=mean,q05,q95")
cat("layers", names(layers), unlist(extract(layers, cbind(463610, 5804990))), "\\n")
items <- st_read("OAPIF:{url}/stac", "{collection}", quiet = TRUE)
cat("items", sort(items$id), st_crs(items)$epsg, "\\n")
records <- st_read("OAPIF:{url}/ogc", "products", quiet = TRUE)
cat("records", nrow(records), "\\n")
sites <- st_read("OAPIF:{url}/ogc", "validation-sites", quiet = TRUE)
cat("sites", nrow(sites), sum(sites$observed), "\\n")
"""


@reads("R (terra, sf)", "COGs", "OGC API Coverages", "OGC API Features", "OGC API Records", "STAC API")
def test_terra_and_sf(site: Site) -> None:
    program = needs.program("Rscript", "r-base-core")
    for package in ("terra", "sf"):
        if not Path(f"/usr/lib/R/site-library/{package}").is_dir():
            pytest.skip(f"R's {package} is not installed: r-cran-{package}")
    script = _SCRIPT.format(cog=site.address("mean"), url=site.url, collection=COLLECTION)
    said = dict(line.split(" ", 1) for line in told([program, "-e", script]).splitlines())
    mean, q05, q95 = (site.stored(name)[60, 55] * 0.1 for name in ("mean", "q05", "q95"))
    value, crs = said["cell"].split()
    assert (float(value), crs) == (pytest.approx(mean), "32633")
    assert said["layers"].split()[:3] == ["mean", "q05", "q95"]
    assert list(map(float, said["layers"].split()[3:])) == pytest.approx([mean, q05, q95])
    assert said["items"].split() == [*sorted(site.store.items(COLLECTION)), "4326"]
    assert said["records"].strip() == str(len(site.names))
    total = sum(each["observed"] for each in site.sites.values())
    assert list(map(float, said["sites"].split())) == [len(site.sites), pytest.approx(total, rel=1e-5)]
