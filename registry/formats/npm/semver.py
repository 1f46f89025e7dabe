"""Semantic versions: strict parsing and precedence (semver.org 2.0.0), with node-semver's limits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from registry.errors import Invalid

MAX_LENGTH = 256  # characters; node-semver
MAX_NUMBER = 2**53 - 1  # node-semver: the largest integer JavaScript counts exactly

INVALID_VERSION = "Validation failed: Version should follow SemVer: https://semver.org"

_NUMBER = r"(?:0|[1-9][0-9]*)"
_PRERELEASE_PART = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_PRERELEASE = rf"{_PRERELEASE_PART}(?:\.{_PRERELEASE_PART})*"
_BUILD = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_PRERELEASE}))?(?:\+({_BUILD}))?")

# One comparator of a node-semver range, the only kind of range that is free of spaces and `|`.
_X = rf"(?:{_NUMBER}|[xX*])"
_COMPARATOR = re.compile(
    rf"(?:[<>]=?|=|~>?|\^)?[v=]*{_X}(?:\.{_X}(?:\.{_X}(?:-{_PRERELEASE})?(?:\+{_BUILD})?)?)?",
)

Precedence = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]


@dataclass(frozen=True, slots=True)
class Version:
    """A parsed version. `prerelease` and `build` are empty when absent."""

    major: int
    minor: int
    patch: int
    prerelease: str = ""
    build: str = ""

    @property
    def identity(self) -> str:
        """The text without build metadata, which takes no part in precedence (semver.org, item 10)."""
        core = f"{self.major}.{self.minor}.{self.patch}"
        return f"{core}-{self.prerelease}" if self.prerelease else core

    @property
    def precedence(self) -> Precedence:
        """A sort key (semver.org, item 11): numeric identifiers below others, fewer below more, none above all."""
        parts = self.prerelease.split(".") if self.prerelease else ()
        identifiers = tuple((not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts)
        return self.major, self.minor, self.patch, not identifiers, identifiers


def parse(text: str) -> Version:
    """Read a version as semver.org writes it, no leading `v`. Raises Invalid with GitLab's text."""
    match = _VERSION.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None:
        raise Invalid(INVALID_VERSION)
    major, minor, patch = (int(number) for number in match.group(1, 2, 3))
    if max(major, minor, patch) > MAX_NUMBER:
        raise Invalid(INVALID_VERSION)
    return Version(major, minor, patch, match[4] or "", match[5] or "")


def is_valid(text: str) -> bool:
    """Whether `parse` accepts the text."""
    try:
        parse(text)
    except Invalid:
        return False
    return True


def clean(text: str) -> str | None:
    """What npm makes of a package.json's version before publishing: trimmed, no `v` or `=`, no build metadata.

    None when it is no version even so (`semver.clean` of node-semver).
    """
    try:
        return parse(re.sub(r"\A[=v\s]+", "", text.strip())).identity
    except Invalid:
        return None


def highest(versions: Iterable[str]) -> str | None:
    """The version of the highest precedence, prereleases included as in GitLab; None when there is none."""
    return max(versions, key=lambda version: parse(version).precedence, default=None)


def is_comparator(text: str) -> bool:
    """Whether node-semver reads a text without spaces as a range (`1.x`, `~2`, `v3`, `x`), not as a dist-tag."""
    return _COMPARATOR.fullmatch(text) is not None
