"""Core metadata: the METADATA of a wheel or PKG-INFO of an sdist, read leniently and judged strictly.

Reading needs only a name and a version. Every metadata version is accepted, those to come included, unknown fields
and text that is not UTF-8 as well: a registry that lists the versions it knows breaks with each new one. What the
public index would not take is collected as `problems`, for projects that want its rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from packaging.metadata import Metadata, RawMetadata, parse_email

from registry.errors import Invalid
from registry.formats.pypi import names

# METADATA of boto3-stubs, among the longest there are, has 156 KB.
LARGEST = 4 * 1024 * 1024

_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")
_METADATA_VERSION = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})", re.ASCII)
# What a resolver reads (PEP 643 calls the rest of the fields no obstacle).
_RESOLVED = frozenset({"requires-dist", "requires-python", "provides-extra"})

_PUBLIC_METADATA_VERSIONS = frozenset({"1.0", "1.1", "1.2", "2.1", "2.2", "2.3", "2.4", "2.5"})
_LONGEST_SUMMARY = 512
_LONGEST_URL_LABEL = 32
_MOST_PROBLEMS = 10
_LONGEST_PROBLEM = 200


@dataclass(frozen=True, slots=True)
class CoreMetadata:
    """What is read from core metadata. Unset fields are `""` or empty; `dynamic` is in lower case.

    `problems` are sentences, one for each rule of the public index that the metadata breaks.
    """

    metadata_version: str
    name: str
    version: str
    requires_python: str
    dynamic: tuple[str, ...]
    license_files: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def is_static(self) -> bool:
        """Whether what a resolver reads here holds for every wheel built from it (PEP 643, metadata 2.2 and later)."""
        return self.at_least(2, 2) and _RESOLVED.isdisjoint(self.dynamic)

    def at_least(self, major: int, minor: int) -> bool:
        """Whether the metadata version is `major.minor` or a later one of the same major."""
        found = _METADATA_VERSION.fullmatch(self.metadata_version)
        return found is not None and int(found[1]) == major and int(found[2]) >= minor


def parse(content: bytes, where: str) -> CoreMetadata:
    """Read core metadata; `where` names the file in messages.

    Raises Invalid when there is not exactly one name and one version of reasonable length, or a NUL in
    Requires-Python, which goes to every simple page.
    """
    # The description after the headers is no part of any decision, and as an e-mail body it could be anything.
    raw, _ = parse_email(_END_OF_HEADERS.split(content, maxsplit=1)[0] + b"\n\n")
    name, version = raw.get("name", "").strip(), raw.get("version", "").strip()
    for field, value in (("Name", name), ("Version", version)):
        if not value:
            raise Invalid(f"{where} needs one {field}")
        if len(value) > names.LONGEST:
            raise Invalid(f"The {field} in {where} is too long (maximum is {names.LONGEST} characters)")
    requires_python = " ".join(raw.get("requires_python", "").split())
    if "\0" in requires_python:
        raise Invalid(f"The Requires-Python in {where} has a NUL")
    return CoreMetadata(
        metadata_version=raw.get("metadata_version", "").strip(),
        name=name,
        version=version,
        requires_python=requires_python,
        dynamic=tuple(field.strip().lower() for field in raw.get("dynamic", [])),
        license_files=tuple(raw.get("license_files", [])),
        problems=tuple(problem for problem, _ in zip(_problems(raw), range(_MOST_PROBLEMS), strict=False)),
    )


def _problems(raw: RawMetadata) -> Iterator[str]:
    metadata_version = raw.get("metadata_version", "")
    if metadata_version not in _PUBLIC_METADATA_VERSIONS:
        known = ", ".join(sorted(_PUBLIC_METADATA_VERSIONS))
        yield f"Metadata-Version is {_shown(metadata_version)}, not one of {known}"
        return
    try:
        metadata = Metadata.from_raw(_public(raw))
    except ExceptionGroup as group:
        yield from sorted(str(error)[:_LONGEST_PROBLEM] for error in group.exceptions)
        return
    if len(metadata.summary or "") > _LONGEST_SUMMARY:
        yield f"Summary is longer than {_LONGEST_SUMMARY} characters"
    for requirement in metadata.requires_dist or []:
        if requirement.url is not None:
            yield f"Requires-Dist {_shown(str(requirement))} points to a URL, not to a project of an index"
    for label, url in (metadata.project_urls or {}).items():
        if len(label) > _LONGEST_URL_LABEL:
            yield f"The label of Project-URL {_shown(label)} is longer than {_LONGEST_URL_LABEL} characters"
        if not url.startswith(("https://", "http://")):
            yield f"Project-URL {_shown(url)} is not an http or https URL"
    for field, value in (("Home-page", metadata.home_page), ("Download-URL", metadata.download_url)):
        if value and not value.startswith(("https://", "http://")):
            yield f"{field} {_shown(value)} is not an http or https URL"
    if metadata.license and metadata.license_expression:
        yield "License and License-Expression exclude each other"


def _public(raw: RawMetadata) -> RawMetadata:
    """The fields the public index judges.

    Not among them: `UNKNOWN`, distutils' word for nothing, and License-File before metadata 2.4, which setuptools
    wrote for years before it was standard.
    """
    public = cast("RawMetadata", {field: value for field, value in raw.items() if value != "UNKNOWN"})
    if public.get("metadata_version", "") < "2.4":
        public.pop("license_files", None)
    return public


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_PROBLEM else f"{text[:_LONGEST_PROBLEM]}...")
