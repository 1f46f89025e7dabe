"""What is published: two names of each format, a few versions, two contents of each file."""

from __future__ import annotations

from functools import cache

from tests.formats.npm.documents import a_document, a_tarball
from tests.formats.pypi.distributions import a_wheel, an_sdist, core_metadata
from tests.stateful.world import ROOT_PATH

PYPI_NAMES = ("demo", "other")
PYPI_VERSIONS = ("1.0", "2.0")
KINDS = ("wheel", "sdist")
NPM_NAMES = (f"@{ROOT_PATH}/widget", "left")
VARIANTS = ("one", "another")
TAGS = ("latest", "next", "beta")
SESSIONS = ("morning", "evening")


def file_name(name: str, version: str, kind: str) -> str:
    """Of a distribution."""
    return f"{name}-{version}-py3-none-any.whl" if kind == "wheel" else f"{name}-{version}.tar.gz"


@cache
def distribution(name: str, version: str, kind: str, variant: str) -> bytes:
    """A sound wheel or sdist; made once, for archives name the time they were made at."""
    make = a_wheel if kind == "wheel" else an_sdist
    return make(name, version, metadata=core_metadata(name, version, body=f"This is {variant}."))


@cache
def tarball(name: str, version: str, variant: str) -> bytes:
    """A sound tarball of npm."""
    return a_tarball({"name": name, "version": version, "description": variant})


def document(name: str, version: str, variant: str, tag: str) -> dict[str, object]:
    """What `npm publish --tag` sends."""
    sent = a_document(tarball(name, version, variant), name=name, version=version, description=variant)
    return sent | {"dist-tags": {tag: version}}
