"""The only home of GDAL: reading, warping and writing rasters, block by block."""
