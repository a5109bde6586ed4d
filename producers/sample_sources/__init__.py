"""Sources of soil samples: LUCAS, WoSIS, geographic tables, and any table with a mapping file."""

from producers.sample_sources.opening import FORMATS, sample_source
from producers.sample_sources.source import PropertyColumn, SampleSource, SourceLayout

__all__ = ["FORMATS", "PropertyColumn", "SampleSource", "SourceLayout", "sample_source"]
