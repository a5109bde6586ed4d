"""The composite by its written rules, in plain numpy over whole arrays; shares no code with the package."""

import warnings

import numpy as np

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
B02, B04, B08, B11, B12 = (BANDS.index(band) for band in ("B02", "B04", "B08", "B11", "B12"))
LAYERS = (
    "SRC", "SRC-STD", "SRC-CI95", "MREF", "MREF-STD", "SFREQ", "SFREQ-MONTHLY", "MASK", "INDEX", "VPC-MONTHLY",
    "SUSPECTS",
)  # fmt: skip
HIDDEN_COVER, OTHER_COVER = (50, 80), (0, 50, 70, 80, 90, 95)


def nan_median(values):
    """Along the first axis, NaN where there is nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmedian(values, axis=0) if len(values) else np.full(values.shape[1:], np.nan)


def kept_by_brightness(blue, chosen, k):
    """The chosen observations (dates first) without those that stand out above the others."""
    seen = np.where(chosen, blue, np.nan)
    middle = nan_median(seen)
    spread = 1.4826 * nan_median(np.abs(seen - middle))
    return chosen & ~((blue > middle + k * spread) & (blue > middle + 80.0))


def ratio(a, b):
    with np.errstate(all="ignore"):
        return np.where(a + b > 0, (a - b) / (a + b), np.nan)


def index_and_bare(stack, threshold, test="pvir2"):
    """Index and bare flags of all observations by the test's definition; (dates, rows, columns) each."""
    red, nir, swir1, swir2 = (stack[:, band] for band in (B04, B08, B11, B12))
    if test == "nbr2":
        index = ratio(swir1, swir2)
        return index, index <= threshold
    if test == "ndvi-nbr2":
        ndvi, index = ratio(nir, red), ratio(swir1, swir2)
        return index, (ndvi >= -0.25) & (ndvi <= 0.25) & (index >= -0.3) & (index <= threshold)
    if test == "barest-earth":
        index = ratio(nir, red)
        return index, index <= threshold
    index = ratio(nir, red) + ratio(nir, swir2)
    return index, index <= threshold


def moments(stack, chosen):
    """Mean and sample standard deviation of each band over the chosen observations."""
    used = chosen[:, np.newaxis] & ~np.isnan(stack)
    n = used.sum(axis=0)
    values = np.where(used, stack, 0.0)
    with np.errstate(all="ignore"):
        mean = np.where(n > 0, values.sum(axis=0) / n, np.nan)
        squares = np.where(used, (stack - mean) ** 2, 0.0).sum(axis=0)
        return mean, np.where(n > 1, np.sqrt(squares / (n - 1)), np.nan)


def geometric_median(stack, weights, steps=4000):
    """Weiszfeld's iteration on each cell's whole spectra; fit for observations in general position."""
    whole = ~np.isnan(stack).any(axis=1)
    weights = np.where(whole, weights, 0.0)[:, np.newaxis]
    values = np.nan_to_num(stack)
    with np.errstate(all="ignore"):
        centre = (weights * values).sum(axis=0) / weights.sum(axis=0)
        for _ in range(steps):
            distance = np.sqrt(((values - centre) ** 2).sum(axis=1, keepdims=True)) + 1e-9
            pull = weights / distance
            centre = (pull * values).sum(axis=0) / pull.sum(axis=0)
    return centre


def barest_weights(stack):
    with np.errstate(all="ignore"):
        ndvi = np.clip(ratio(stack[:, B08], stack[:, B04]), -1, 1)
    return np.nan_to_num(0.5 * np.exp(-8 * (ndvi - 0.25)))


def bare_centre(stack, bare, valid, test):
    """The statistic of the bare observations, and how much wider than a mean's its interval is."""
    if test == "barest-earth":
        return geometric_median(stack, np.where(valid, barest_weights(stack), 0.0)), 1.2533
    if test in ("median", "ndvi-nbr2"):
        return nan_median(np.where(bare[:, np.newaxis], stack, np.nan)), 1.2533
    return moments(stack, bare)[0], 1.0


def monthly(flags, months):
    return np.stack([flags[months == month].sum(axis=0) for month in range(1, 13)]).astype(float)


def mask_of(bsc, vpc, ever, threshold, cover):
    mask = np.where(bsc >= 3, 1, np.where(ever, 4, 2))
    mask = np.where((vpc == 0) | np.isnan(threshold), 0, mask)
    return mask if cover is None else np.where(np.isin(cover, OTHER_COVER), 3, mask)


def suite(stack, months, threshold, cover=None, test="pvir2"):
    """All layers as numbers of the files, not rounded, NaN for nodata; (bands, rows, columns) each.

    ``stack`` is DN in float64, (dates, 10, rows, columns), all NaN where an observation is invalid.
    """
    threshold = np.broadcast_to(np.asarray(threshold, dtype=float), stack.shape[2:])
    valid = ~np.isnan(stack[:, B02])
    index, low = index_and_bare(stack, threshold, test)
    low &= valid
    kept, bare = kept_by_brightness(stack[:, B02], valid, 4.0), kept_by_brightness(stack[:, B02], low, 3.0)
    vpc, bsc = valid.sum(axis=0), bare.sum(axis=0)
    mref, mref_std = moments(stack, kept)
    src, wider = bare_centre(stack, bare, kept, test)
    src_std = moments(stack, bare)[1]
    hidden = (bsc < 3) | (False if cover is None else np.isin(cover, HIDDEN_COVER))
    src, src_std = (np.where(hidden, np.nan, each) for each in (src, src_std))
    seen = monthly(valid, months)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        ci95 = wider * 1.96 * src_std / np.sqrt(bsc)
        bsf, bsf_monthly = bsc / vpc * 1e4, monthly(bare, months) / seen * 1e4
        seen_index = np.where(valid, index, np.nan)
        none = np.full((1, *vpc.shape), np.nan)
        seen_index = np.concatenate([none, seen_index])
        extremes = np.stack([np.nanmin(seen_index, axis=0), np.nanmax(seen_index, axis=0)])
    where = np.where(vpc > 0, 1.0, np.nan)
    return {
        "SRC": src, "SRC-STD": src_std, "SRC-CI95": ci95, "MREF": mref, "MREF-STD": mref_std,
        "SFREQ": np.stack([bsf, bsc * where, vpc * where]), "SFREQ-MONTHLY": bsf_monthly,
        "MASK": mask_of(bsc, vpc, low.any(axis=0), threshold, cover)[np.newaxis].astype(float),
        "INDEX": extremes * 1e4, "VPC-MONTHLY": seen * where,
        "SUSPECTS": np.stack([vpc - kept.sum(axis=0), low.sum(axis=0) - bsc]) * where,
    }  # fmt: skip


def assert_same_layers(found, want, layers=LAYERS, tolerance=0.51, wider=None):
    """Stored integers equal what was expected up to rounding; ``wider`` gives single layers another tolerance."""
    for name in layers:
        nodata = -32_768 if name == "INDEX" else -10_000
        assert found[name].dtype == np.int16, name
        np.testing.assert_array_equal(found[name] == nodata, np.isnan(want[name]), err_msg=name)
        near = np.where(np.isnan(want[name]), nodata, want[name])
        np.testing.assert_allclose(
            found[name], near, atol=(wider or {}).get(name, tolerance), rtol=0, err_msg=name
        )  # fmt: skip
