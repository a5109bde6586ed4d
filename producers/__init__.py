"""Batch producers: scenes, covariates and samples in, rasters and a ProductRecord out."""
