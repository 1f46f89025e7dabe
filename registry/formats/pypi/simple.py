"""Simple pages: the project and index pages of the simple repository API (PEP 503, 592, 629, 658, 691, 700, 714,
740, 792).

JSON is joined from entries that are rendered once each. HTML is a template with the page's skeleton around one block of
anchors made here, because a template loop over a thousand files costs twenty times as much; so every value is escaped
here, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from types import MappingProxyType
from urllib.parse import quote

import orjson
from markupsafe import Markup

from registry.blocks import Block
from registry.formats.pypi.status import ACTIVE, Status
from registry.sections import Sections, join

API_VERSION = "1.4"
API_VERSION_WITH_NAMESPACES = "1.5"
TEMPLATE = "pypi/simple.html"
# Of provenance objects: the public index's integrity API.
PROVENANCE_TYPE = "application/vnd.pypi.integrity.v1+json"


@dataclass(frozen=True, slots=True)
class SimpleFile:
    """A file as a project page lists it.

    `url` is absolute, without fragment or query; `size` in bytes; `upload_time` aware. `yanked_reason` counts only when
    `yanked`. `core_metadata_sha256` is None unless `<url>.metadata` is served with exactly these bytes,
    `provenance_url` unless a provenance object is served there.
    """

    filename: str
    url: str
    sha256: str
    size: int
    upload_time: datetime
    requires_python: str = ""
    yanked: bool = False
    yanked_reason: str | None = None
    core_metadata_sha256: str | None = None
    provenance_url: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a project page; `text` is its JSON object."""

    text: bytes
    file: SimpleFile
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class SimpleProject:
    """A project as the index lists it: `name` is shown, `normalized_name` addresses it."""

    name: str
    normalized_name: str
    requires_python: str = ""


def file_url(base: str, sha256: str, file_name: str) -> str:
    """Where a file is, under `base` (`.../packages/pypi`), for ever.

    `+` and `!` are percent-encoded as well: pip sends them so whatever the page says, uv sends what the page says, and
    proxies in between disagree about what a bare `+` is.
    """
    return f"{base}/files/{sha256}/{quote(file_name, safe='')}"


def provenance_url(base: str, normalized_name: str, version: str, file_name: str, sha256: str) -> str:
    """Where the provenance of a file is, under `base`.

    The digest tells files apart that have one name in two projects of a group.
    """
    path = "/".join(quote(part, safe="") for part in (normalized_name, version, file_name))
    return f"{base}/integrity/{path}/provenance?sha256={sha256}"


def project_url(base: str, normalized_name: str) -> str:
    """Where a project's page is, under `base`; without the final slash, as GitLab writes it (`[contract 3.4]`)."""
    return f"{base}/simple/{quote(normalized_name, safe='')}"


def entry(file: SimpleFile, name: str, version: str) -> Entry:
    """A file as the JSON page lists it. `name` is the one its release was published under."""
    return Entry(orjson.dumps(_file_json(file), option=orjson.OPT_UTC_Z), file, name, version)


def project_json(
    normalized_name: str,
    files: Sections[Entry],
    versions: Iterable[str],
    *,
    status: Status = ACTIVE,
    api_version: str = API_VERSION,
    more: Mapping[str, object] = MappingProxyType({}),
) -> bytes | tuple[Block, ...]:
    """A project page as JSON. `versions` covers every file, and may hold versions without files (PEP 700); `more`
    is what later versions of the API add.
    """
    head = {
        "meta": {"api-version": api_version},
        "name": normalized_name,
        "project-status": status.json,
        "versions": list(dict.fromkeys(versions)),
        **more,
    }
    return join(b'%b,"files":[' % orjson.dumps(head)[:-1], files, b"]}")


def index_json(projects: Iterable[SimpleProject], *, api_version: str = API_VERSION) -> bytes:
    """The index page as JSON."""
    return orjson.dumps(
        {"meta": {"api-version": api_version}, "projects": [{"name": project.name} for project in projects]}
    )


def page_context(
    title: str, anchors: Markup, *, status: Status | None = None, api_version: str = API_VERSION
) -> dict[str, object]:
    """What `TEMPLATE` needs: `title` is the name of what the page lists, unescaped; a project page has a `status`."""
    return {"title": title, "anchors": anchors, "status": status, "repository_version": api_version}


def file_anchors(files: Iterable[SimpleFile]) -> Markup:
    """The anchors of a project page, in the attribute order of `[contract 3.5]`."""
    return Markup("\n".join(map(_file_anchor, files)))  # noqa: S704  _file_anchor escapes every value


def project_anchors(base: str, projects: Iterable[SimpleProject]) -> Markup:
    """The anchors of the index page under `base`, in the attribute order of `[contract 3.4]`."""
    return Markup("\n".join(_project_anchor(base, project) for project in projects))  # noqa: S704  escaped there


def _file_json(file: SimpleFile) -> dict[str, object]:
    # uv takes the first of `hashes`. pip 22.3 to 23.0.1 die of a `dist-info-metadata` key: only the new name is here.
    document: dict[str, object] = {
        "filename": file.filename,
        "url": file.url,
        "hashes": {"sha256": file.sha256},
        "size": file.size,
        "upload-time": file.upload_time.astimezone(UTC),
        "yanked": (file.yanked_reason or True) if file.yanked else False,
    }
    if file.requires_python:
        document["requires-python"] = file.requires_python
    if file.core_metadata_sha256:
        document["core-metadata"] = {"sha256": file.core_metadata_sha256}
    if file.provenance_url:
        document["provenance"] = file.provenance_url
    return document


def _file_anchor(file: SimpleFile) -> str:
    href = escape(f"{file.url}#sha256={file.sha256}")
    yanked = f' data-yanked="{escape(file.yanked_reason or "")}"' if file.yanked else ""
    core = ""
    if file.core_metadata_sha256:
        digest = escape(f"sha256={file.core_metadata_sha256}")
        # Both names: clients before PEP 714 read the second one only.
        core = f' data-core-metadata="{digest}" data-dist-info-metadata="{digest}"'
    attested = f' data-provenance="{escape(file.provenance_url)}"' if file.provenance_url else ""
    return (
        f'<a href="{href}" data-requires-python="{escape(file.requires_python)}"{yanked}{core}{attested}>'
        f"{escape(file.filename)}</a><br>"
    )


def _project_anchor(base: str, project: SimpleProject) -> str:
    return (
        f'<a href="{escape(project_url(base, project.normalized_name))}"'
        f' data-requires-python="{escape(project.requires_python)}">{escape(project.name)}</a><br>'
    )
