"""The register: a ProductRecord becomes a STAC item with its ISO record in a store."""
