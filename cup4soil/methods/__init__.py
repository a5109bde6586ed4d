"""Methods: arrays in, arrays out. No GDAL, no files, no network."""
