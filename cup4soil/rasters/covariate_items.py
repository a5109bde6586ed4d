"""What is read of a STAC item that names covariates. Other fields may hold what they like."""

from datetime import datetime
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class StacBand(_Part):
    """A band, in the common form of STAC 1.1 or that of the raster extension; all of it is optional."""

    name: str | None = None
    unit: str | None = None
    nodata: float | Literal["nan", "inf", "-inf"] | None = None
    scale: float | None = Field(default=None, validation_alias=AliasChoices("raster:scale", "scale"))
    offset: float | None = Field(default=None, validation_alias=AliasChoices("raster:offset", "offset"))


class StacAsset(_Part):
    """A file. ``checksum`` is a multihash in hexadecimal, ``classes`` the classes that its cells may have."""

    href: str
    type: str | None = None
    roles: tuple[str, ...] | None = None
    bands: tuple[StacBand, ...] | None = None
    eo_bands: tuple[StacBand, ...] | None = Field(default=None, alias="eo:bands")
    raster_bands: tuple[StacBand, ...] | None = Field(default=None, alias="raster:bands")
    unit: str | None = None
    nodata: float | Literal["nan", "inf", "-inf"] | None = None
    scale: float | None = Field(default=None, alias="raster:scale")
    offset: float | None = Field(default=None, alias="raster:offset")
    checksum: str | None = Field(default=None, alias="file:checksum")
    classes: tuple[Any, ...] | None = Field(default=None, alias="classification:classes")


class StacProperties(_Part):
    """Common metadata of an item."""

    title: str | None = None
    version: str | None = None
    license: str | None = None
    attribution: str | None = None
    instant: datetime | None = Field(default=None, alias="datetime")
    start: datetime | None = Field(default=None, alias="start_datetime")
    end: datetime | None = Field(default=None, alias="end_datetime")
    simulated: bool | None = Field(default=None, alias="cup4soil:simulated")


class StacItem(_Part):
    """A STAC item, not a catalogue or collection."""

    type: Literal["Feature"]
    id: str | None = None
    collection: str | None = None
    properties: StacProperties = StacProperties()
    assets: dict[str, StacAsset]
