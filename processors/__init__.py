"""Plugins for pygeoapi: coverages, processes and their jobs, on the products of a store."""
