"""A simulated Sentinel-2 archive over a simulated landscape, with its truth: for demonstration and tests.

The soil's spectra follow organic carbon as in real samples; everything else is invented.
"""

from producers.simulation.archive import SimulatedLandscape, simulate_archive
from producers.simulation.bb250 import ATTRIBUTION, LICENCE, SAMPLES_CRS
from producers.simulation.evaluation import DemoScore, evaluate

#: Threshold of PVIR2 for the composite of this landscape. 98 % of the real BB.250 samples lie below 0.15, and so does
#: their soil under up to about 10 % green cover; 99 % of the meadows never fall below 0.3, of leys and woods below 0.5.
#: Higher values (up to 0.3) find more dates, but each with more plants in it, which darken red and SWIR of the mean.
#: It lies in the range of 0 ... 0.4 published for Europe (Heiden et al. 2022, Remote Sensing 14, 4526).
RECOMMENDED_THRESHOLD = 0.15

__all__ = [
    "ATTRIBUTION",
    "LICENCE",
    "RECOMMENDED_THRESHOLD",
    "SAMPLES_CRS",
    "DemoScore",
    "SimulatedLandscape",
    "evaluate",
    "simulate_archive",
]
