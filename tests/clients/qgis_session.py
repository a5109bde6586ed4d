"""What QGIS makes of the service, run by the system's Python with PyQGIS: ``python3 qgis_session.py TASKS FOLDER``.

TASKS is JSON: a list of ``{"do": name of a function below, ...its arguments}``; the answers are printed as a JSON list.
Pictures are written into FOLDER.
"""

import json
import os
import sys
from pathlib import Path
from urllib.parse import quote

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsPointXY,
    QgsRaster,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize, Qt


def features(url, name):
    """A collection of OGC API Features (or of a STAC API) as a vector layer."""
    layer = QgsVectorLayer(f"restrictToRequestBBOX='1' pageSize='2' typename='{name}' url='{url}'", name, "OAPIF")
    if not layer.isValid():
        return {"error": layer.error().message()}
    found = list(layer.getFeatures())
    box = [layer.extent().xMinimum(), layer.extent().yMinimum(), layer.extent().xMaximum(), layer.extent().yMaximum()]
    return {
        "fields": layer.fields().names(),
        "rows": [{k: str(v) for k, v in zip(each.fields().names(), each.attributes(), strict=True)} for each in found],
        "crs": layer.crs().authid(),
        "extent": box,
        "valid": all(each.geometry().isGeosValid() for each in found),
    }


def identify(source, points):
    """Values of a raster layer of GDAL at points in the layer's CRS, as a click shows them."""
    layer = QgsRasterLayer(source, "raster", "gdal")
    if not layer.isValid():
        return {"error": layer.error().message()}
    provider = layer.dataProvider()
    answers = [provider.identify(QgsPointXY(x, y), QgsRaster.IdentifyFormatValue).results() for x, y in points]
    size = [layer.width(), layer.height()]
    return {"values": [each.get(1) for each in answers], "crs": layer.crs().authid(), "size": size}


def render(source, provider, crs, box, size, file):
    """A layer drawn into a picture of ``size`` pixels; ``box`` in ``crs``."""
    layer = QgsRasterLayer(source, "map", provider)
    if not layer.isValid():
        return {"error": layer.error().message()}
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(QgsCoordinateReferenceSystem(crs))
    settings.setExtent(QgsRectangle(*box))
    settings.setOutputSize(QSize(*size))
    settings.setBackgroundColor(Qt.transparent)
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(str(Path(sys.argv[2]) / file))
    return {"errors": [each.message for each in job.errors()], "crs": layer.crs().authid()}


def xyz(url, **more):
    """A layer of XYZ tiles, drawn."""
    return render(f"type=xyz&zmin=0&zmax=18&url={quote(url)}", "wms", **more)


def wmts(url, layer, style, matrices, crs, **more):
    """A layer of WMTS, drawn."""
    what = f"layers={layer}&styles={style}&tileMatrixSet={matrices}&crs={crs}&format=image/png"
    return render(f"contextualWMSLegend=0&dpiMode=7&{what}&url={quote(url)}", "wms", crs=crs, **more)


def main():
    QgsApplication.setPrefixPath("/usr", True)
    application = QgsApplication([], False)
    application.initQgis()
    answers = []
    for task in json.loads(sys.argv[1]):
        answers.append(globals()[task.pop("do")](**task))
    print(json.dumps(answers))
    sys.stdout.flush()
    # Its own end crashes at times, after everything is done.
    os._exit(0)


main()
