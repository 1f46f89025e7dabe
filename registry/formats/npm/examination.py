"""What `registry fsck` asks about a stored name: do its manifests parse, fit its tarballs, and make documents?"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from registry.db.fsck import StoredVersion
from registry.documents import Page
from registry.formats.npm import names, packument, semver
from registry.formats.npm.manifest import ABBREVIATED
from registry.formats.npm.names import Name
from registry.formats.npm.packument import Entry, Packument, Tarballs, VersionRow
from registry.fsck import StoredName
from registry.sections import Sections

# Documents are about what they would be below any prefix.
_PREFIX = "https://registry.invalid"


def examine(stored: StoredName) -> Iterator[str]:
    """Everything wrong with a name, in sentences. Versions without a tarball are in no document and are not judged."""
    name = names.parse(stored.normalized_name)
    whole = [version for version in stored.versions if version.file_name is not None]
    sound = []
    for version in whole:
        problems = list(_problems(name, version))
        yield from (f"{version.version}: {problem}" for problem in problems)
        if not problems:
            sound.append(version)
    if sound:
        yield from _documents(name, sound, {tag.name: tag.version for tag in stored.tags})


def _problems(name: Name, version: StoredVersion) -> Iterator[str]:
    if not semver.is_valid(version.version):
        yield "is no version"
        return
    if version.name != name.text:
        yield f"is a version of {version.name!r}"
    if version.file_name != name.stored_file_name(version.version):
        yield f"its tarball is named {version.file_name}"
    if version.sha1 is None or version.sha512 is None:
        yield "its tarball lacks the digests that clients check"
    full, short = _parsed(version.manifest), _parsed(version.abbreviated)
    if full is None:
        yield "its manifest is no JSON object"
    elif (full.get("name"), full.get("version")) != (name.text, version.version):
        yield f"its manifest is about {full.get('name')!r} {full.get('version')!r}"
    elif short != {key: full[key] for key in ABBREVIATED if key in full}:
        yield "its abbreviated manifest is not the short form of its manifest"


def _parsed(text: str | None) -> dict[str, object] | None:
    try:
        value = orjson.loads(text or "")
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) and value else None


def _documents(name: Name, versions: list[StoredVersion], tags: dict[str, str]) -> Iterator[str]:
    """Render both documents as a request would, and read them back."""
    tarballs = Tarballs(name, _PREFIX)
    modified = max(version.created_at for version in versions)
    marks = [(number, 0) for number in range(len(versions))]
    for variant, render in (("full", packument.full), ("abbreviated", packument.abbreviated)):
        short = variant == "abbreviated"
        rows = [_row(version, abbreviated=short) for version in versions]
        entries = {number: packument.entry(tarballs, number, row, abbreviated=short) for number, row in enumerate(rows)}
        sections: Sections[Entry] = Sections()
        body = render(Packument(name, sections.renewed(marks, entries), tags, "1", modified, rows[-1].manifest))
        document = orjson.loads(Page(body, packument.FULL_TYPE).raw)
        shown = document["versions"]
        wrong = [row.version for row in rows if shown.get(row.version, {}).get("dist", {}).get("shasum") != row.shasum]
        yield from (f"{version}: the {variant} document does not hold its tarball" for version in wrong)
        if document["dist-tags"].get("latest") not in shown:
            yield f"the {variant} document has no latest version"


def _row(version: StoredVersion, *, abbreviated: bool) -> VersionRow:
    facts = version.facts or {}
    return VersionRow(
        version=version.version,
        manifest=((version.abbreviated if abbreviated else version.manifest) or "").encode(),
        shasum=version.sha1 or "",
        integrity=packument.subresource_integrity(version.sha512 or ""),
        file_count=facts.get("file_count", 0),
        unpacked_size=facts.get("unpacked_size", 0),
        created_at=version.created_at,
    )
