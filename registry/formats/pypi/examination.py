"""What `registry fsck` asks about a stored name: are its rows what uploads make of them, and do they render?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import orjson

from registry.db.fsck import StoredVersion
from registry.documents import Page
from registry.errors import Invalid
from registry.formats.pypi import names, simple
from registry.formats.pypi.simple import SimpleFile
from registry.fsck import StoredName
from registry.sections import Sections

# The page is what it would be below any base.
_BASE = "https://registry.invalid"


def examine(stored: StoredName) -> Iterator[str]:
    """Everything wrong with a name, in sentences."""
    for version in stored.versions:
        yield from (f"{version.version}: {problem}" for problem in _problems(stored.normalized_name, version))
    whole = [version for version in stored.versions if version.file_name is not None]
    files = [_file(version) for version in whole]
    entries = {
        number: simple.entry(file, version.name, version.version)
        for number, (file, version) in enumerate(zip(files, whole, strict=True))
    }
    sections: Sections[simple.Entry] = Sections()
    listed = sections.renewed([(number, 0) for number in entries], entries)
    body = simple.project_json(stored.normalized_name, listed, [version.version for version in whole])
    page = orjson.loads(Page(body, "application/json").raw)
    shown = {file["filename"]: file["hashes"]["sha256"] for file in page["files"]}
    anchors = simple.file_anchors(files)
    for file in files:
        if shown.get(file.filename) != file.sha256 or f"#sha256={file.sha256}" not in anchors:
            yield f"{file.filename}: its page does not hold it"


def _problems(normalized_name: str, version: StoredVersion) -> Iterator[str]:
    try:
        names.check_name(version.name)
        names.check_version(version.version)
        if version.file_name is not None:
            names.check_file_name(version.file_name)
    except Invalid as error:
        yield f"{version.file_name or version.name}: {error.text}"
    if names.normalize(version.name) != normalized_name:
        yield f"is a version of {version.name!r}"
    kept = version.core_metadata
    if version.core_metadata_sha256 != (None if kept is None else hashlib.sha256(kept).hexdigest()):
        yield f"{version.file_name}: its core metadata does not have the digest that is announced"


def _file(version: StoredVersion) -> SimpleFile:
    sha256, file_name = version.sha256 or "", version.file_name or ""
    return SimpleFile(
        filename=file_name,
        url=simple.file_url(_BASE, sha256, file_name),
        sha256=sha256,
        size=version.size or 0,
        upload_time=version.created_at,
        requires_python=version.requires_python or "",
        core_metadata_sha256=version.core_metadata_sha256,
    )
