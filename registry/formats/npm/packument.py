"""Packuments: the documents about all versions of a package, joined from stored manifests."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from urllib.parse import quote

import orjson

from registry.blocks import Block
from registry.formats.npm import semver
from registry.formats.npm.names import Name
from registry.sections import Sections, join

FULL_TYPE = "application/json"
ABBREVIATED_TYPE = "application/vnd.npm.install-v1+json"

# What the full document repeats at its top from the version tagged `latest`.
_HOISTED = (
    "description",
    "homepage",
    "keywords",
    "repository",
    "bugs",
    "license",
    "author",
    "contributors",
    "readmeFilename",
)


@dataclass(frozen=True, slots=True)
class Person:
    """A user as npm documents show one."""

    name: str
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Attested:
    """A provenance bundle that is served; `verified` says whether its signer is known to be an expected one."""

    predicate_type: str
    verified: bool


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version as stored. `manifest` is that text of `manifest.Manifest` which the document is made of.

    `integrity` is a subresource integrity (`sha512-...`), `shasum` a sha1 in hexadecimal, `unpacked_size` is in bytes.
    `signatures` are as `dist` shows them.
    """

    version: str
    manifest: bytes
    shasum: str
    integrity: str
    file_count: int
    unpacked_size: int
    created_at: datetime
    deprecated: str | None = None
    publisher: Person | None = None
    attested: Attested | None = None
    signatures: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Tarballs:
    """Where the tarballs of a package are announced.

    `prefix` is the URL of the level that was asked, without a slash at its end
    (`https://host/api/v4/projects/42/packages/npm`): npm 12 installs from nowhere else. `canonical` chooses npm's names
    of tarballs over GitLab's.
    """

    name: Name
    prefix: str
    canonical: bool = False

    def url(self, version: str) -> str:
        """The address of a version's tarball."""
        return f"{self.prefix}/{self.name.text}/-/{self.name.file_name(version, canonical=self.canonical)}"

    def attestations_url(self, version: str) -> str:
        """The address of a version's attestations.

        npm 11 and 12 ask the host of the registry for this path, npm 10 puts the path behind the registry's own.
        """
        return f"{self.prefix}/-/npm/v1/attestations/{quote(f'{self.name.text}@{version}', safe='@')}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A version as documents list it: `text` under `versions`, `time` under `time`, both with the version as key.

    `package_id` names the row, and nothing shown.
    """

    package_id: int
    version: str
    text: bytes
    time: bytes
    created_at: datetime
    publisher: Person | None


@dataclass(frozen=True, slots=True)
class Packument:
    """Everything a document about one package is made of.

    `versions` are in publish order, at least one, each version once. `revision` (`_rev`) must change whenever the
    document does. The full document alone has what follows: `latest`, the manifest of the version tagged so, its
    readme, and the names of the `owners`; where they are None it names who published instead.
    """

    name: Name
    versions: Sections[Entry]
    tags: Mapping[str, str]
    revision: str
    modified: datetime
    latest: bytes = b"{}"
    readme: str | None = None
    owners: tuple[str, ...] | None = None


def entry(tarballs: Tarballs, package_id: int, row: VersionRow, *, abbreviated: bool) -> Entry:
    """A version for the full or the abbreviated document, from the manifest text meant for that."""
    text = _object(tarballs, row, {}) if abbreviated else manifest(tarballs, row)
    key = orjson.dumps(row.version)
    time = b'%b:"%b"' % (key, iso(row.created_at).encode())
    return Entry(package_id, row.version, b"%b:%b" % (key, text), time, row.created_at, row.publisher)


def full(packument: Packument) -> bytes | tuple[Block, ...]:
    """The document npm, yarn berry and deno read, and every client before it changes something."""
    entries = packument.versions.entries
    if packument.owners is None:
        people = {entry.publisher.name: entry.publisher for entry in entries if entry.publisher is not None}
    else:
        people = {name: Person(name, "") for name in packument.owners}
    hoisted = orjson.loads(packument.latest)
    head = {
        "_id": packument.name.text,
        "_rev": packument.revision,
        "name": packument.name.text,
        "dist-tags": _tags(packument, entries),
    }
    tail = {
        "maintainers": [_person(person) for person in people.values()],
        **{key: hoisted[key] for key in _HOISTED if key in hoisted},
        "readme": packument.readme or "",
    }
    return _document(head, packument, entries, b",%b" % orjson.dumps(tail)[1:])


def abbreviated(packument: Packument) -> bytes | tuple[Block, ...]:
    """The document pnpm, bun and yarn 1 read, with the `time` that spares pnpm a second request."""
    entries = packument.versions.entries
    head = {
        "name": packument.name.text,
        "modified": iso(packument.modified),
        "dist-tags": _tags(packument, entries),
    }
    return _document(head, packument, entries, b"}")


def manifest(tarballs: Tarballs, row: VersionRow) -> bytes:
    """The object of one version in the full document, which `GET <name>/<version>` answers alone."""
    extra: dict[str, object] = {}
    if row.publisher is not None:
        publisher = _person(row.publisher)
        extra = {"_npmUser": publisher, "maintainers": [publisher]}
    return _object(tarballs, row, extra)


def find(versions: Collection[str], tags: Mapping[str, str], version_or_tag: str) -> str | None:
    """The version that `GET <name>/<version-or-tag>` means; a version wins over a tag of that name."""
    if version_or_tag in versions:
        return version_or_tag
    return dist_tags(versions, tags).get(version_or_tag)


def dist_tags(versions: Collection[str], tags: Mapping[str, str]) -> dict[str, str]:
    """The tags whose versions exist. There is always `latest`: as tagged, else the highest version (GitLab)."""
    pointing = {tag: version for tag, version in tags.items() if version in versions}
    if "latest" in pointing:
        return pointing
    highest = semver.highest(versions)
    return {"latest": highest, **pointing} if highest else pointing


def pointers(versions: Collection[str], tags: Mapping[str, str]) -> bytes:
    """The document about the tags alone: a flat object."""
    return orjson.dumps(dist_tags(versions, tags))


def revision(serials: Iterable[int]) -> str:
    """The `_rev` of a document made from rows at these serials."""
    return "-".join(str(serial) for serial in serials)


def subresource_integrity(sha512: str) -> str:
    """`dist.integrity` for a hexadecimal sha512."""
    return f"sha512-{base64.b64encode(bytes.fromhex(sha512)).decode()}"


def iso(moment: datetime) -> str:
    """ISO 8601 with milliseconds and `Z`, the only form all clients' age checks read alike."""
    return moment.astimezone(UTC).isoformat("T", "milliseconds")[: -len("+00:00")] + "Z"


def wants_abbreviated(accept: str | None) -> bool:
    """Whether an Accept header names the abbreviated type at least as gladly as plain JSON (RFC 9110, 12.5.1)."""
    qualities = dict(_media_range(item) for item in (accept or "").lower().split(","))
    wanted = qualities.get(ABBREVIATED_TYPE, 0.0)
    plain = next((qualities[key] for key in (FULL_TYPE, "application/*", "*/*") if key in qualities), 0.0)
    return wanted > 0 and wanted >= plain


def _media_range(item: str) -> tuple[str, float]:
    media, *parameters = (part.strip() for part in item.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return media, float(parameter[2:])
            except ValueError:
                return media, 0.0
    return media, 1.0


def _document(
    head: Mapping[str, object], packument: Packument, entries: Sequence[Entry], tail: bytes
) -> bytes | tuple[Block, ...]:
    """Head, `versions`, `time` and tail; `tail` closes the document."""
    span = {"created": iso(min(map(attrgetter("created_at"), entries))), "modified": iso(packument.modified)}
    times = b",".join((orjson.dumps(span)[:-1], *map(attrgetter("time"), entries)))
    start = b'%b,"versions":{' % orjson.dumps(head)[:-1]
    return join(start, packument.versions, b'},"time":%b}%b' % (times, tail))


def _tags(packument: Packument, entries: Iterable[Entry]) -> dict[str, str]:
    return dist_tags(set(map(attrgetter("version"), entries)), packument.tags)


def _object(tarballs: Tarballs, row: VersionRow, extra: dict[str, object]) -> bytes:
    """A stored object with what depends on the row or the URL put behind its last member."""
    dist: dict[str, object] = {
        "integrity": row.integrity,
        "shasum": row.shasum,
        "tarball": tarballs.url(row.version),
        "fileCount": row.file_count,
        "unpackedSize": row.unpacked_size,
    }
    if row.attested is not None:
        dist["attestations"] = _attestations(tarballs, row.version, row.attested)
    if row.signatures:
        dist["signatures"] = row.signatures
    extra["dist"] = dist
    if row.deprecated:
        extra["deprecated"] = row.deprecated
    return b"%b,%b" % (row.manifest[:-1], orjson.dumps(extra)[1:])


def _attestations(tarballs: Tarballs, version: str, attested: Attested) -> dict[str, object]:
    """What `dist` says of them. `provenance` is evidence of who published to pnpm and deno, unseen: so it must be."""
    found: dict[str, object] = {"url": tarballs.attestations_url(version)}
    if attested.verified:
        found["provenance"] = {"predicateType": attested.predicate_type}
    return found


def _person(person: Person) -> dict[str, str]:
    return {"name": person.name} | ({"email": person.email} if person.email is not None else {})
