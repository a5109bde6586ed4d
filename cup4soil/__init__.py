"""What a soil product is, and the methods that compute one.

The core knows arrays, units, grids and records; GDAL lives in :mod:`cup4soil.rasters` alone,
and nothing here knows HTTP, STAC or the command line.
"""

from importlib.metadata import version

__version__ = version("cup4soil")
