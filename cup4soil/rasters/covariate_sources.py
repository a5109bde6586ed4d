"""What covariates come from, as sources of a product: content and terms, not place."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from cup4soil.errors import InvalidRaster
from cup4soil.products import Source, file_checksum
from cup4soil.rasters.covariate_files import CovariateFile


def covariate_sources(files: Sequence[CovariateFile], resampling: Mapping[str, str]) -> tuple[Source, ...]:
    """One source per product, item or plain file, with its SHA-256; ``resampling`` is told by covariate.

    Raises:
        InvalidRaster: when a file is not the one that its STAC item describes.
        InvalidInput: when a file cannot be read.
    """
    keys = dict.fromkeys(file.source_key for file in files)
    return tuple(_source([file for file in files if file.source_key == key], resampling) for key in keys)


def _source(files: Sequence[CovariateFile], resampling: Mapping[str, str]) -> Source:
    origin = files[0].origin
    shared = {name for name, count in Counter(file.path.name for file in files).items() if count > 1}
    checksums = {
        f"{file.path.name} ({file.names[0]})" if file.path.name in shared else file.path.name: _checksum(file)
        for file in files
    }
    names = [name for file in files for name in file.names]
    told = {name: resampling[name] for name in names if resampling.get(name, "none") != "none"}
    return Source(
        role=origin.role,
        id=origin.id,
        title=origin.title,
        version=origin.version,
        checksum=_joint(checksums),
        licence=origin.licence,
        attribution=origin.attribution,
        properties={
            **origin.properties,
            "covariates": names,
            "files": checksums,
            **({"resampling": told} if told else {}),
        },
    )


def _checksum(file: CovariateFile) -> str:
    """SHA-256 of a file, which a STAC item's claim replaces only where the file is remote."""
    if file.stated_checksum is not None:
        return file.stated_checksum
    if file.address is not None and file.claimed_checksum is not None:
        return file.claimed_checksum
    found = file_checksum(file.path)
    if file.claimed_checksum not in (None, found):
        raise InvalidRaster(
            f"{file.path} is not the file that its STAC item describes: its content has another checksum",
            "fetch the file again, or mend file:checksum in the item",
        )
    return found


def _joint(checksums: dict[str, str]) -> str:
    """The checksum of one file, or one over the names and checksums of several."""
    if len(checksums) == 1:
        return next(iter(checksums.values()))
    lines = "".join(f"{name} {checksum}\n" for name, checksum in sorted(checksums.items()))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
