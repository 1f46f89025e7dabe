"""Content negotiation: which representation of a simple page a client gets (PEP 691, RFC 9110 section 12.5.1)."""

from __future__ import annotations

import enum
import functools
import re


class Representation(enum.Enum):
    """The forms of a simple page, the most expressive first; the value is the media type."""

    JSON = "application/vnd.pypi.simple.v1+json"
    HTML_V1 = "application/vnd.pypi.simple.v1+html"
    HTML = "text/html"

    @property
    def content_type(self) -> str:
        """The Content-Type header. It says `v1` also to who asked for `latest`; JSON has no charset (RFC 8259)."""
        return self.value if self is Representation.JSON else f"{self.value}; charset=utf-8"


_EXACT = {representation.value: representation for representation in Representation} | {
    "application/vnd.pypi.simple.latest+json": Representation.JSON,
    "application/vnd.pypi.simple.latest+html": Representation.HTML_V1,
}
_WILDCARDS = {"*/*": 0, "text/*": 1, "application/*": 1}
_NAMED = 2

_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


@functools.lru_cache(maxsize=256)
def negotiate(accept: str | None, exact: str | None = None) -> Representation | None:
    """The representation to answer with; None when the client accepts none of ours, which is a 406.

    `accept` is the Accept header (several joined by commas), None or blank when there is none: HTML then, because pip
    before 22.2 and hatch know nothing else. A header without one readable media range counts as none.
    `exact` is the `format` query parameter, one media type, which goes before the header.

    The highest quality wins, then the more explicit wish (a range that names the type before `*/*`), then the more
    expressive representation; what only `*/*` admits is HTML where possible. GitLab ignores qualities; no client
    that works there sees a difference.
    """
    if exact is not None:
        # A bare `+` in a query string arrives as a space, and the specification's own example has one.
        return _EXACT.get(exact.strip().replace(" ", "+").lower())
    ranges = _ranges(accept or "")
    if not ranges:
        return Representation.HTML
    wishes = {representation: _wish(representation, ranges) for representation in Representation}
    order = list(Representation)

    def rank(representation: Representation) -> tuple[float, int, int]:
        quality, explicit = wishes[representation]
        plain = explicit == _WILDCARDS["*/*"] and representation is Representation.HTML
        return quality, explicit, len(order) if plain else -order.index(representation)

    best = max(order, key=rank)
    return best if wishes[best][0] > 0 else None


def _wish(representation: Representation, ranges: dict[str, float]) -> tuple[float, int]:
    """Quality and explicitness of the most specific range that admits `representation`."""
    named = [ranges[name] for name, meant in _EXACT.items() if meant is representation and name in ranges]
    if named:
        return max(named), _NAMED
    for wildcard in (f"{representation.value.partition('/')[0]}/*", "*/*"):
        if wildcard in ranges:
            return ranges[wildcard], _WILDCARDS[wildcard]
    return 0.0, 0


def _ranges(accept: str) -> dict[str, float]:
    """Media range -> quality. Unreadable members are left out; of a repeated range the higher quality counts."""
    ranges: dict[str, float] = {}
    for member in accept.split(","):
        media_range, *parameters = (part.strip().lower() for part in member.split(";"))
        quality = _quality(parameters)
        if "/" in media_range and quality is not None:
            ranges[media_range] = max(quality, ranges.get(media_range, 0.0))
    return ranges


def _quality(parameters: list[str]) -> float | None:
    """The `q` among a media range's parameters, 1 when there is none, None when it is unreadable."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if _QUALITY.fullmatch(value := value.strip()) else None
    return 1.0
