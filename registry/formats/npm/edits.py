"""Edits: the metadata writes of npm clients - deprecate, unpublish one version, change owners, star.

A client sends back the whole document it was given; only the one thing an edit is about is read from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from registry.errors import Invalid
from registry.formats.npm.strictjson import show

NOTHING_TO_DEPRECATE = '400 Bad request - "package versions to deprecate" not given'


@dataclass(frozen=True, slots=True)
class Deprecation:
    """`messages` by version; None takes a deprecation back. Versions that are not listed stay as they are."""

    name: str
    messages: Mapping[str, str | None]
    revision: str | None


@dataclass(frozen=True, slots=True)
class Unpublication:
    """Every published version that is not in `kept` is to be removed."""

    name: str
    kept: frozenset[str]
    revision: str | None


@dataclass(frozen=True, slots=True)
class OwnerChange:
    """`maintainers` are the user names that shall own the package."""

    name: str
    maintainers: tuple[str, ...]
    revision: str | None


@dataclass(frozen=True, slots=True)
class StarChange:
    """`users` are the user names that shall have starred the package."""

    name: str
    users: frozenset[str]
    revision: str | None


Edit = Deprecation | OwnerChange | StarChange


def parse(document: Mapping[str, object], url_name: str) -> Edit:
    """Read a `PUT <prefix>/<url_name>` without attachments. `revision` is the document's `_rev`. Raises Invalid."""
    if "versions" in document:
        return _deprecation(document, url_name)
    other = _owners_or_stars(document, url_name)
    if other is None:
        raise Invalid("Versions key is missing from the JSON upload")
    return other


def parse_revision(document: Mapping[str, object], url_name: str) -> Unpublication | OwnerChange | StarChange:
    """Read a `PUT <prefix>/<url_name>/-rev/<rev>`. Raises Invalid.

    `npm owner` sends no `versions`: that never means that all of them go. Nor does an empty `versions`; a whole
    package is removed by `DELETE <prefix>/<url_name>/-rev/<rev>`.
    """
    if "versions" in document:
        kept = frozenset(_versions(document))
        if not kept:
            raise Invalid("The document keeps no version: unpublish the whole package instead")
        return Unpublication(checked_name(document, url_name), kept, _revision(document))
    other = _owners_or_stars(document, url_name)
    if other is None:
        raise Invalid("versions, maintainers or users are expected in the document")
    return other


def checked_name(document: Mapping[str, object], url_name: str) -> str:
    """The name in the URL, which `name` and `_id` must repeat where they are present. Raises Invalid otherwise."""
    for key in ("_id", "name"):
        if document.get(key, url_name) != url_name:
            raise Invalid(f"The document's {key} is {show(document[key])}, the URL says {url_name!r}")
    return url_name


def _deprecation(document: Mapping[str, object], url_name: str) -> Deprecation:
    messages: dict[str, str | None] = {}
    for version, manifest in _versions(document).items():
        if not isinstance(manifest, dict):
            raise Invalid(f"versions[{show(version)}] is not an object")
        message = manifest.get("deprecated")
        if message is not None and message is not False and not isinstance(message, str):
            raise Invalid(f"The deprecation message of {show(version)} is not a text")
        if "deprecated" in manifest:
            messages[version] = message or None
    if not messages:
        raise Invalid(NOTHING_TO_DEPRECATE)
    return Deprecation(checked_name(document, url_name), messages, _revision(document))


def _owners_or_stars(document: Mapping[str, object], url_name: str) -> OwnerChange | StarChange | None:
    maintainers, users = document.get("maintainers"), document.get("users")
    if isinstance(maintainers, list):
        owners = [maintainer.get("name") if isinstance(maintainer, dict) else None for maintainer in maintainers]
        owner_names = tuple(owner for owner in owners if isinstance(owner, str) and owner)
        if not owner_names or len(owner_names) != len(owners):
            raise Invalid("maintainers is a list of objects that have a name, at least one")
        return OwnerChange(checked_name(document, url_name), owner_names, _revision(document))
    if isinstance(users, dict):
        starred = frozenset(user for user, star in users.items() if star)
        return StarChange(checked_name(document, url_name), starred, _revision(document))
    return None


def _versions(document: Mapping[str, object]) -> Mapping[str, object]:
    versions = document["versions"]
    if not isinstance(versions, dict):
        raise Invalid("versions is not an object")
    return versions


def _revision(document: Mapping[str, object]) -> str | None:
    revision = document.get("_rev")
    return revision if isinstance(revision, str) else None
