"""Publications: what a publish document says, checked against itself, its URL and the bytes it came with."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from registry.errors import DigestMismatch, Invalid
from registry.formats.npm import edits, names, semver, tags
from registry.formats.npm.names import Name
from registry.formats.npm.splitter import Split
from registry.formats.npm.strictjson import show
from registry.model import Digests

README_LIMIT = 64 * 1024  # characters that npm's own registry keeps
NO_README = "ERROR: No README data found!"  # what npm sends for a package without one


@dataclass(frozen=True, slots=True)
class Publication:
    """One version to publish.

    `manifest` is the version object as sent; `integrity` (subresource integrity, W3C), `shasum` (sha1 in hexadecimal)
    and `length` (bytes) are what the client declares about the tarball; `deprecated` is a message the package.json
    may carry from the start; `provenance` is the text of an attached Sigstore bundle.
    """

    name: Name
    version: str
    tags: tuple[str, ...]
    manifest: Mapping[str, object]
    shasum: str
    integrity: str | None
    length: int | None
    access: str | None
    readme: str | None
    deprecated: str | None
    provenance: str | None


def parse(split: Split, url_name: str, *, deprecating: bool = False) -> Publication | edits.Edit:
    """Read the body of `PUT <prefix>/<url_name>`: a publish, or an edit of what is published.

    Without `_attachments` it is an edit, whatever the headers say; `deprecating` (the client sent
    `npm-command: deprecate`) only decides what an empty `_attachments` means. Raises Invalid.
    """
    document = split.document
    attachments = document.get("_attachments")
    if attachments is None or (deprecating and attachments == {}):
        return edits.parse(document, url_name)
    versions = _members(document, "versions", absent="Versions key is missing from the JSON upload")
    if len(versions) != 1:
        raise Invalid(f"One version is published at a time, the document holds {len(versions)}")
    ((version, manifest),) = versions.items()
    if not version.strip():
        raise Invalid("Version is empty.")
    if split.tarball is None or not split.size:
        raise Invalid("Attachment data is empty.")
    name = names.parse_new(edits.checked_name(document, url_name) if "name" in document else "")
    semver.parse(version)
    manifest = _checked_manifest(manifest, name, version)
    dist = _members(manifest, "dist", absent="Validation failed: Package json dist is missing")
    if not _text(dist, "tarball"):
        raise Invalid("Validation failed: Package json dist.tarball is missing")
    shasum = _text(dist, "shasum")
    if not shasum:
        raise Invalid("Validation failed: Package json dist.shasum is missing")
    return Publication(
        name=name,
        version=version,
        tags=_tags(document, version),
        manifest=manifest,
        shasum=shasum,
        integrity=_text(dist, "integrity"),
        length=_length(attachments, split.tarball, name, version),
        access=_text(document, "access"),
        readme=_readme(document, manifest),
        deprecated=_deprecated(manifest),
        provenance=_provenance(attachments, split.tarball),
    )


def check_digests(publication: Publication, digests: Digests, size: int) -> None:
    """Compare what was declared with what arrived: `size` in bytes, sha1 and sha512 must be computed.

    Raises DigestMismatch naming both values, Invalid when the declared integrity cannot be read.
    """
    if publication.length is not None and publication.length != size:
        raise DigestMismatch(f"The attachment's length is {size}, the document says {publication.length}")
    if publication.shasum.lower() != digests.sha1:
        raise DigestMismatch(
            f"dist.shasum of the tarball is {digests.sha1}, the document says {show(publication.shasum)}"
        )
    computed = {"sha1": digests.sha1, "sha256": digests.sha256, "sha512": digests.sha512}
    for declared in (publication.integrity or "").split():
        algorithm, _, value = declared.partition("?")[0].partition("-")
        expected = computed.get(algorithm)
        if expected is None:
            raise Invalid(f"dist.integrity uses {show(algorithm)}, sha512 is expected")
        try:
            same = base64.b64decode(value, validate=True).hex() == expected
        except binascii.Error as error:
            raise Invalid("dist.integrity is not valid base64") from error
        if not same:
            actual = base64.b64encode(bytes.fromhex(expected)).decode()
            raise DigestMismatch(
                f"dist.integrity of the tarball is {algorithm}-{actual}, the document says {show(declared)}"
            )


def _members(parent: Mapping[str, object], key: str, *, absent: str) -> dict[str, object]:
    value = parent.get(key)
    if value is None:
        raise Invalid(absent)
    if not isinstance(value, dict):
        raise Invalid(f"{key} is not an object")
    return value


def _text(parent: Mapping[str, object], key: str) -> str | None:
    value = parent.get(key)
    if value is not None and not isinstance(value, str):
        raise Invalid(f"{key} is not a text")
    return value


def _checked_manifest(manifest: object, name: Name, version: str) -> dict[str, object]:
    if not isinstance(manifest, dict):
        raise Invalid(f"versions[{version!r}] is not an object")
    for key, expected in (("name", name.text), ("version", version)):
        if manifest.get(key) != expected:
            raise Invalid(f"The {key} inside versions[{version!r}] is {show(manifest.get(key))}, not {expected!r}")
    if manifest.get("_id", expected_id := f"{name.text}@{version}") != expected_id:
        raise Invalid(f"The _id inside versions[{version!r}] is {show(manifest['_id'])}, not {expected_id!r}")
    return manifest


def _tags(document: Mapping[str, object], version: str) -> tuple[str, ...]:
    pointers = _members(document, "dist-tags", absent="dist-tags is missing from the JSON upload")
    if not pointers:
        raise Invalid("dist-tags is empty, one tag is expected")
    for tag, target in pointers.items():
        if target != version:
            raise Invalid(f"The tag {show(tag)} points to {show(target)}, not to the published version {version!r}")
    return tuple(tags.check_name(tag) for tag in pointers)


def _length(attachments: object, tarball: str, name: Name, version: str) -> int | None:
    """The declared length of the tarball, whose key must name the version in one of the two forms."""
    attachments = attachments if isinstance(attachments, dict) else {}
    others = [key for key in attachments if key != tarball and not key.endswith(".sigstore")]
    if others:
        raise Invalid(f"The attachment {show(others[0])} is neither the tarball nor a Sigstore bundle")
    attached = name.version_of(tarball)
    # bun names the file after a version with its build metadata and drops it everywhere else.
    if attached is None or semver.parse(attached).identity != semver.parse(version).identity:
        raise Invalid(f"The attachment is {show(tarball)}, not {name.file_name(version, canonical=False)!r}")
    length = attachments[tarball].get("length")
    if length is not None and type(length) is not int:
        raise Invalid("The attachment's length is not an integer")
    return length


def _provenance(attachments: object, tarball: str) -> str | None:
    """The text of the Sigstore bundle that npm attaches beside the tarball, as JSON and not as base64."""
    bundles = [value for key, value in attachments.items() if key != tarball] if isinstance(attachments, dict) else []
    if not bundles:
        return None
    if len(bundles) > 1 or not isinstance(bundles[0], dict) or not isinstance(bundles[0].get("data"), str):
        raise Invalid("The Sigstore bundle is one attachment whose data is a text")
    bundle: str = bundles[0]["data"]
    return bundle


def _deprecated(manifest: Mapping[str, object]) -> str | None:
    """A package.json may carry a message from the start; many carry `false`, a leftover of old npm versions."""
    message = manifest.get("deprecated")
    return message or None if isinstance(message, str) else None


def _readme(document: Mapping[str, object], manifest: Mapping[str, object]) -> str | None:
    """npm, pnpm and bun send it in the version object, yarn at the top of the document."""
    for readme in (document.get("readme"), manifest.get("readme")):
        if isinstance(readme, str) and readme not in {"", NO_README}:
            return readme[:README_LIMIT]
    return None
