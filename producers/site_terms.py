"""Whether the places of samples, and what was measured there, may be given to others."""

from dataclasses import dataclass

from cup4soil.errors import LicenceConflict
from cup4soil.licences import may_be_passed_on
from producers.sample_sources import SampleSource
from producers.training_request import TrainRequest

_HOW = "state the samples' own licence with --licence where you may pass them on"


@dataclass(frozen=True, slots=True)
class SiteTerms:
    """``closed`` says why sites stay closed, None where they are open; ``grid_m``: edge of the cells of rounding."""

    closed: str | None
    grid_m: float | None = None


def site_terms(request: TrainRequest, source: SampleSource) -> SiteTerms:
    """The terms of the sites of a training.

    Sites are open where the licence of the samples, stated or of their file, is known to let them be passed on, unless
    the source forbids it (LUCAS) or the request closes them. Rounding does not open what is closed.

    Raises:
        LicenceConflict: when the request opens what is not known to be open.
    """
    if request.sites == "closed":
        return SiteTerms("it was asked for")
    reason = source.closed or _of_licence(request.licence or source.licence)
    if reason is not None and request.sites == "open":
        raise LicenceConflict(
            f"validation sites cannot be open: {reason}", "leave --sites out" if source.closed else _HOW
        )
    return SiteTerms(reason, request.sites_grid)


def _of_licence(licence: str | None) -> str | None:
    if may_be_passed_on(licence):
        return None
    return f"nothing says that samples under {licence} may be passed on" if licence else "the samples have no licence"
