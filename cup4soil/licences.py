"""Licences of products, derived from the licences of what they were made from."""

from collections.abc import Iterable

from cup4soil.errors import LicenceConflict

DEFAULT_LICENCE = "CC-BY-NC-SA-4.0"

_URLS = {
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC-BY-NC-4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
    "CC-BY-NC-SA-4.0": "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
}

# What has to be shared under the very licence it came with.
_SHARE_ALIKE = frozenset({"CC-BY-SA-4.0", "CC-BY-NC-SA-4.0"})
# What leaves the licence of a derived work open; Sentinel data ask for a notice only.
_PERMISSIVE = frozenset({"CC0-1.0", "CC-BY-4.0", "Copernicus-Sentinel", "proprietary-permitted", "Apache-2.0"})
_NON_COMMERCIAL = frozenset({"CC-BY-NC-4.0"})
# Under which copies may be passed on, with due credit.
_OPEN = frozenset({"CC0-1.0", "CC-BY-4.0"}) | _SHARE_ALIKE | _NON_COMMERCIAL
_NON_COMMERCIAL_TARGETS = frozenset({"CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"})


def licence_url(licence: str) -> str | None:
    """Where the text of an SPDX licence is found, None when it is not a public licence."""
    return _URLS.get(licence)


def may_be_passed_on(licence: str | None) -> bool:
    """Whether copies of what is under this licence may be given to anybody; False where that is not known."""
    return licence in _OPEN


def derived_licence(sources: Iterable[str | None], default: str = DEFAULT_LICENCE) -> str:
    """SPDX licence of a product made from ``sources``; None stands for "not stated".

    Sources that ask to be shared alike decide; without one it is ``default``.

    Raises:
        LicenceConflict: when two sources demand different licences, or one forbids what another demands.
    """
    named = {licence for licence in sources if licence}
    alike = sorted(named & _SHARE_ALIKE)
    if len(alike) > 1:
        raise LicenceConflict(
            f"sources under {' and '.join(alike)} cannot be combined in one product",
            "leave one of them out, or obtain another licence for it",
        )
    unknown = sorted(named - _SHARE_ALIKE - _PERMISSIVE - _NON_COMMERCIAL)
    if unknown:
        raise LicenceConflict(
            f"it is not known what {unknown[0]!r} allows",
            f"state one of {', '.join(sorted(_SHARE_ALIKE | _PERMISSIVE | _NON_COMMERCIAL))}",
        )
    licence = alike[0] if alike else default
    if "CC-BY-4.0" in named and licence == "CC0-1.0":
        raise LicenceConflict(
            "a source under CC-BY-4.0 cannot go into a product under CC0-1.0, which asks for no credit",
            "choose a licence for the product that does",
        )
    if named & _NON_COMMERCIAL and licence not in _NON_COMMERCIAL_TARGETS:
        raise LicenceConflict(
            f"a source under CC-BY-NC-4.0 cannot go into a product under {licence}",
            "leave it out, or choose a non-commercial licence for the product",
        )
    return licence
