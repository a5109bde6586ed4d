"""A page about a coverage for people who follow its link in a browser."""

from processors.coverage_catalog import CoverageCatalog
from processors.coverage_formats import axis_names
from processors.coverages import Interval
from processors.crs import reference_of
from processors.pages import page


def coverage_page(catalog: CoverageCatalog, collection: str, when: Interval | None) -> str:
    """HTML that says what a coverage holds and how it is fetched; it loads nothing from elsewhere.

    Raises:
        NotFound: when there is no such collection.
        NoData: when it has nothing at that time.
    """
    coverage = catalog.coverage(collection, when)
    reference = reference_of(coverage.crs)
    x_name, y_name = axis_names(reference)
    left, bottom, right, top = coverage.bounds.astuple()
    spans = [group[0].period for group in catalog.periods(collection)]
    return page(
        "coverage_page.html",
        # Of .../collections/{id}/coverage.
        "../..",
        title=coverage.title,
        collection=collection,
        crs=reference.uri,
        axes=f"{x_name}({left:.12g}:{right:.12g}), {y_name}({bottom:.12g}:{top:.12g})",
        rows=coverage.grid.shape[0],
        columns=coverage.grid.shape[1],
        periods=[f"{span.start:%Y-%m-%d} to {span.end:%Y-%m-%d}" for span in spans],
        fields=list(coverage.fields.values()),
    )
