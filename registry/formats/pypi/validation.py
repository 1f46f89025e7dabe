"""Validation: how much an uploaded file must be what it says (`pypi_validation`).

**basic** accepts what GitLab accepts, made safe: names, version, file name and declared digests are checked when the
form is parsed, the content may be anything.

**standard** also wants a wheel or sdist to be sound (`metadata.inspect`) and its name and version to equal the form's
after normalisation.

**strict** adds the rules of the public index (Warehouse of August 2026). Included:

- `protocol_version` 1 or absent; `filetype` `sdist` or `bdist_wheel` with a fitting `pyversion` and extension; at least
  one digest declared;
- metadata versions 1.0 to 2.5; fields valid and not newer than their metadata version; no local version; a summary of
  one line and at most 512 characters; http(s) URLs with labels of at most 32 characters; no direct references in
  Requires-Dist; not both License and License-Expression; Requires-Python as in the form;
- no name of a module of the standard library, nor of a requirements file;
- sdists named `{name}-{version}.tar.gz`, wheels with the normalised name, both in normal spelling (PEP 625, PEP 427),
  and platform tags from the list below;
- RECORD present, entry points readable, License-File entries present.

Sound framing of zips, no bombs and no sparse members are part of being sound, from **standard** on. Left out: known
classifiers, descriptions that render, look-alike names, malware rules (they need data that lives elsewhere); one sdist
to a release and the fourteen-day limit (the catalogue's business, and a private project has reasons to differ); size
limits (settings of their own, on every level); e-mail syntax (nobody who installs reads it); the media type of the
part (not known here).
"""

from __future__ import annotations

import enum
import re
import sys

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from registry.errors import Invalid
from registry.formats.pypi import names
from registry.formats.pypi.metadata import Inspection
from registry.formats.pypi.publication import LONGEST_REQUIRES_PYTHON, Publication, truncated


class Strictness(enum.Enum):
    """The levels of validation; the value is what the setting says."""

    BASIC = "basic"
    STANDARD = "standard"
    STRICT = "strict"


_RESERVED_NAMES = frozenset(
    {names.normalize(module) for module in sys.stdlib_module_names}
    | {"requirements-txt", "requirement-txt", "requirements-text", "rrequirements-txt", "require-txt"}
)

_LINUX_ARCHITECTURES = "x86_64|i686|aarch64|armv6l|armv7l|ppc64|ppc64le|s390x|riscv64|loongarch64"
_PLATFORM = re.compile(
    rf"""any
    |win32|win_amd64|win_arm64|win_ia64
    |macosx_(?:10_[0-9]+|(?:1[1-5]|26)_0)_
        (?:arm64|fat|fat3|fat32|fat64|i386|intel|ppc|ppc64|universal|universal2|x86_64)
    |linux_armv[67]l
    |manylinux(?:1|2010|2014|_[0-9]+_[0-9]+)_(?:{_LINUX_ARCHITECTURES})
    |musllinux_[0-9]+_[0-9]+_(?:{_LINUX_ARCHITECTURES})
    |ios_[0-9]+_[0-9]+_(?:arm64|x86_64)_iphone(?:os|simulator)
    |android_[0-9]+_(?:arm64_v8a|armeabi_v7a|x86|x86_64)
    |py(?:odide|emscripten)_[0-9]{{4}}_[0-9]+_wasm32""",
    re.ASCII | re.VERBOSE,
)


def check(publication: Publication, inspection: Inspection | None, strictness: Strictness) -> None:
    """Refuse a file that is not what the project's level of validation wants, with the first reason found.

    `inspection` is None when the file could not be read. Raises Invalid.
    """
    if strictness is Strictness.BASIC:
        return
    if inspection is None:
        raise Invalid(f"{publication.file_name} could not be read")
    _check_identity(publication, inspection)
    if strictness is Strictness.STRICT:
        _check_form(publication)
        _check_file_name(publication)
        _check_metadata(publication, inspection)


def is_trusted(publication: Publication, inspection: Inspection | None) -> bool:
    """Whether the archive's own metadata may be used: it is sound, and about the name and version of the form."""
    if inspection is None or inspection["kind"] == "other":
        return False
    return names.same_name(inspection["name"], publication.name) and names.same_version(
        inspection["version"], publication.version
    )


def requires_python(publication: Publication, inspection: Inspection | None) -> str:
    """What simple pages say of the file: the form's value or, when that is empty, the one in trusted metadata."""
    if publication.requires_python or inspection is None or not is_trusted(publication, inspection):
        return publication.requires_python
    return _requires_python_of(inspection)


def _check_identity(publication: Publication, inspection: Inspection) -> None:
    if inspection["kind"] == "other" or is_trusted(publication, inspection):
        return
    raise Invalid(
        f"{publication.file_name} says it is {inspection['name']!r} {inspection['version']!r},"
        f" but the form says {publication.name!r} {publication.version!r}"
    )


def _check_form(publication: Publication) -> None:
    if publication.protocol_version not in {"", "1"}:
        raise Invalid("protocol_version must be 1")
    match publication.filetype:
        case "sdist":
            extension, known = ".tar.gz", publication.pyversion in {"", "source"}
        case "bdist_wheel":
            extension, known = ".whl", bool(publication.pyversion)
        case _:
            raise Invalid("filetype must be sdist or bdist_wheel")
    if not known:
        raise Invalid("pyversion must be source for an sdist, and the Python tag for a wheel")
    if not publication.file_name.endswith(extension):
        raise Invalid(
            f"{publication.file_name} must end in {extension}, because its filetype is {publication.filetype}"
        )
    declared = publication.declared
    if not (declared.sha256 or declared.blake2b_256 or declared.md5):
        raise Invalid("One of sha256_digest, blake2_256_digest and md5_digest is needed")
    if publication.normalized_name in _RESERVED_NAMES:
        raise Invalid(f"{publication.name} is a name of Python's standard library or of a requirements file")
    if Version(publication.version).local is not None:
        raise Invalid(f"{publication.version} has a local version (after the +), which is not for publishing")


def _check_file_name(publication: Publication) -> None:
    name, version = publication.normalized_name.replace("-", "_"), str(Version(publication.version))
    if publication.filetype == "sdist":
        if publication.file_name != (expected := f"{name}-{version}.tar.gz"):
            raise Invalid(f"The sdist must be named {expected}")
        return
    try:
        _, _, _, tags = parse_wheel_filename(publication.file_name)
    except InvalidWheelFilename as error:
        raise Invalid(f"{publication.file_name} is not named like a wheel") from error
    if publication.file_name.partition("-")[0] != name:
        raise Invalid(f"The name of the wheel must begin with {name}-")
    for platform in sorted({tag.platform for tag in tags}):
        if not _PLATFORM.fullmatch(platform):
            raise Invalid(f"The wheel is for {platform}, which is not a platform of the public index")


def _check_metadata(publication: Publication, inspection: Inspection) -> None:
    if inspection["problems"]:
        raise Invalid(f"{publication.file_name}: {inspection['problems'][0]}")
    theirs = _requires_python_of(inspection)
    if not _same_specifier(publication.requires_python, theirs):
        raise Invalid(
            f"The form says Requires-Python {publication.requires_python!r}, {publication.file_name} says {theirs!r}"
        )


def _requires_python_of(inspection: Inspection) -> str:
    return truncated(inspection["requires_python"], LONGEST_REQUIRES_PYTHON)


def _same_specifier(one: str, other: str) -> bool:
    """Whether two specifiers are the same clauses; how they are spaced and ordered is the uploading tool's taste."""
    try:
        return SpecifierSet(one) == SpecifierSet(other)
    except InvalidSpecifier:
        return one == other
