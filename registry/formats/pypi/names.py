"""Names: of projects, versions and files, checked once at the door and compared after normalisation.

Every pattern is ASCII, anchored at both ends and linear in its input, and every length is checked before a pattern
runs: `re.IGNORECASE` alone would let U+212A (Kelvin sign) pass for `k` and U+017F (long s) for `s`.
The texts are the ones GitLab's API gives (`[contract 3.2]`).
"""

from __future__ import annotations

import re
from typing import Literal

from packaging.version import VERSION_PATTERN, InvalidVersion, Version

from registry.errors import Invalid

Kind = Literal["wheel", "sdist", "other"]

LONGEST = 255

# GitLab's pattern without its directories (`scope/name`): a slash would split the name over two parts of a URL.
_NAME = re.compile(r"@?[\w.-]+(?:@[\w.-]*)?", re.ASCII)
_VERSION = re.compile(VERSION_PATTERN, re.VERBOSE | re.IGNORECASE | re.ASCII)
_FILE_NAME = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9._+!~@=,() -]*", re.ASCII)
_SEPARATORS = re.compile(r"[-_.]+")

# The archives pip unpacks and Python can read.
_SDIST_SUFFIXES = (".tar.gz", ".tgz", ".zip", ".tar", ".tar.bz2", ".tbz", ".tar.xz", ".txz")


def normalize(name: str) -> str:
    """`name` as projects are compared and addressed: lower case, every run of `-`, `_`, `.` one `-` (PEP 503)."""
    return _SEPARATORS.sub("-", name).lower()


def check_name(name: str) -> None:
    """Refuse what GitLab refuses as a project name, and what has no place in a URL: slashes and only dots.

    Raises Invalid.
    """
    if len(name) > LONGEST:
        raise Invalid(f"Validation failed: Name is too long (maximum is {LONGEST} characters)")
    if not _NAME.fullmatch(name) or not name.strip("."):
        raise Invalid("Validation failed: Name is invalid")


def check_version(version: str) -> None:
    """Refuse what is not a PEP 440 version; a leading `v`, an epoch and a local part are fine, white space is not.

    Raises Invalid.
    """
    if len(version) > LONGEST:
        raise Invalid(f"Validation failed: Version is too long (maximum is {LONGEST} characters)")
    if not _VERSION.fullmatch(version):
        raise Invalid("Validation failed: Version is invalid")


def check_file_name(file_name: str) -> None:
    """Refuse a file name that could mean something else to a file system, a URL, a header or a reader.

    Any extension is fine except `.metadata`, which names the core metadata beside a file (PEP 658). Raises Invalid.
    """
    if len(file_name) > LONGEST:
        raise Invalid(f"Validation failed: File name is too long (maximum is {LONGEST} characters)")
    if not _FILE_NAME.fullmatch(file_name) or file_name.endswith(" "):
        raise Invalid(
            "Validation failed: File name is invalid "
            "(ASCII letters, digits, inner spaces and ._-+!~@=,() without a leading dot are accepted)"
        )
    if file_name.lower().endswith(".metadata"):
        raise Invalid("Validation failed: File name is invalid (.metadata is kept for the core metadata of a file)")


def same_name(one: str, other: str) -> bool:
    """Whether two names address the same project (PEP 503); one that is not ASCII addresses none."""
    return one.isascii() and other.isascii() and normalize(one) == normalize(other)


def same_version(one: str, other: str) -> bool:
    """Whether two versions are equal after normalisation (PEP 440); one that is no version equals nothing."""
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return False


def is_pair(text: str, name: str, version: str) -> bool:
    """Whether `text` is `{name}-{version}` in whatever spelling, as directories in archives are named."""
    if len(text) > 2 * LONGEST:
        return False
    return any(
        same_name(text[:dash], name) and same_version(text[dash + 1 :].replace("_", "-"), version)
        for dash, character in enumerate(text)
        if character == "-"
    )


def kind_of(file_name: str) -> Kind:
    """What the extension promises: a wheel, an sdist, or something this registry does not look into."""
    lowered = file_name.lower()
    if lowered.endswith(".whl"):
        return "wheel"
    return "sdist" if lowered.endswith(_SDIST_SUFFIXES) else "other"


def split_wheel(file_name: str) -> tuple[str, str]:
    """Name and version, as spelled in a wheel's file name (PEP 427).

    What follows them is not judged: tags may gain parts (PEP 825). Raises Invalid.
    """
    parts = file_name[: -len(".whl")].split("-")
    if len(parts) < 5 or not parts[0]:
        raise Invalid(
            f"{file_name} is not named like a wheel ({{name}}-{{version}}-{{python}}-{{abi}}-{{platform}}.whl)"
        )
    return parts[0], parts[1].replace("_", "-")
