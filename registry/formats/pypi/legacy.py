"""Legacy documents: the JSON API of the public index, older than PEP 691 and not standard, which scanners still ask.

Its keys are those of https://docs.pypi.org/api/json/; what is not known here is null, empty or -1 as it is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web
from packaging.metadata import RawMetadata, parse_email
from packaging.version import Version

from registry.db import package_files, packages
from registry.db.package_files import ReleaseFile
from registry.db.packages import Description
from registry.documents import Page
from registry.errors import NotFound
from registry.formats.pypi import names, simple
from registry.formats.pypi.status import offering
from registry.server import responses
from registry.server.context import Context

_UNKNOWN_DOWNLOADS = {"last_day": -1, "last_month": -1, "last_week": -1}
_TYPES = {
    ".egg": "bdist_egg",
    ".exe": "bdist_wininst",
    ".msi": "bdist_msi",
    ".rpm": "bdist_rpm",
    ".deb": "bdist_dumb",
    ".dmg": "bdist_dmg",
}
# Key here, field of core metadata; what has no file with core metadata has these of its upload form, or nothing.
_TEXTS = {
    "author": "author",
    "author_email": "author_email",
    "description": "description",
    "description_content_type": "description_content_type",
    "download_url": "download_url",
    "home_page": "home_page",
    "license": "license",
    "license_expression": "license_expression",
    "maintainer": "maintainer",
    "maintainer_email": "maintainer_email",
    "summary": "summary",
}
_LISTS = {
    "classifiers": "classifiers",
    "dynamic": "dynamic",
    "license_files": "license_files",
    "provides_extra": "provides_extra",
    "requires_dist": "requires_dist",
}
_EMPTY_WHEN_UNSET = frozenset({"author", "author_email", "description", "download_url", "home_page", "summary"})


async def document(context: Context) -> web.StreamResponse:
    """Describe a name and its newest version, or one version, in the public index's older JSON."""
    name, version = names.normalize(context.params["name"]), context.params.get("version")
    services = context.services
    serials = await services.lookups.serials("pypi", name, context.target.projects)
    if not serials.exists:
        raise NotFound("404 Package Not Found")

    async def render() -> Page:
        files = await package_files.list_release_files(services.db, "pypi", name, offering(serials))
        chosen = _release(files, version)
        if not chosen:
            raise NotFound("404 Package Not Found")
        description = await packages.find_description(services.db, chosen[0].package_id)
        serial = max(serial for _, serial in serials.pairs)
        listed = files if version is None else None
        body = await asyncio.to_thread(_render, context.base_url, chosen, listed, description, serial)
        return Page(body, "application/json", (("Vary", "Accept-Encoding, Authorization"),))

    key = ("pypi", "legacy", context.base_url, name, version, serials.pairs)
    return await responses.document(context, key, render)


def _release(files: Sequence[ReleaseFile], version: str | None) -> list[ReleaseFile]:
    """The files of one version: the one asked, else the newest that is final and not yanked, else whatever is best."""
    if version is not None:
        asked = version if version == version.strip() else ""  # which PEP 440 would ignore around a version
        return [file for file in files if file.version == version or names.same_version(file.version, asked)]
    releases: dict[Version, list[ReleaseFile]] = {}
    for file in files:
        releases.setdefault(Version(file.version), []).append(file)

    def merit(one: Version) -> tuple[bool, bool, Version]:
        return not _is_yanked(releases[one]), not one.is_prerelease, one

    return releases[max(releases, key=merit)] if releases else []


def _render(
    base: str,
    chosen: Sequence[ReleaseFile],
    files: Sequence[ReleaseFile] | None,
    description: Description | None,
    serial: int,
) -> bytes:
    shown: dict[str, Any] = {"info": _info(base, chosen, description), "last_serial": serial}
    if files is not None:
        releases: dict[str, list[dict[str, Any]]] = {}
        for file in files:
            releases.setdefault(file.version, []).append(_file(base, file))
        shown["releases"] = releases
    shown["urls"] = [_file(base, file) for file in chosen]
    shown["vulnerabilities"] = []
    return orjson.dumps(shown)


def _info(base: str, chosen: Sequence[ReleaseFile], description: Description | None) -> dict[str, Any]:
    first = chosen[0]
    raw = _raw(description)
    project_url = simple.project_url(base, names.normalize(first.name))
    texts = {key: raw.get(field) or ("" if key in _EMPTY_WHEN_UNSET else None) for key, field in _TEXTS.items()}
    lists = {key: raw.get(field) or None for key, field in _LISTS.items()}
    return {
        **texts,
        **lists,
        "bugtrack_url": None,
        "classifiers": lists["classifiers"] or [],
        "docs_url": None,
        "downloads": _UNKNOWN_DOWNLOADS,
        "keywords": _keywords(raw.get("keywords")),
        "name": first.name,
        "package_url": project_url,
        "platform": ",".join(raw.get("platforms") or []) or None,
        "project_url": project_url,
        "project_urls": raw.get("project_urls") or None,
        "release_url": f"{base}/pypi/{names.normalize(first.name)}/{first.version}/json",
        "requires_python": next((file.requires_python for file in chosen if file.requires_python), None),
        "version": first.version,
        "yanked": _is_yanked(chosen),
        "yanked_reason": _reason(chosen) if _is_yanked(chosen) else None,
    }


def _raw(description: Description | None) -> Mapping[str, Any]:
    if description is None:
        return {}
    if description.core_metadata is not None:
        raw: RawMetadata = parse_email(description.core_metadata)[0]
        return {field: value for field, value in raw.items() if value != "UNKNOWN"}
    found: dict[str, Any] = orjson.loads(description.manifest or "{}")
    return found


def _keywords(value: object) -> str:
    """A comma between each, as the form has them; core metadata is parsed to a list."""
    return ",".join(value) if isinstance(value, list) else str(value or "")


def _is_yanked(files: Iterable[ReleaseFile]) -> bool:
    return all(file.yanked for file in files)


def _reason(files: Iterable[ReleaseFile]) -> str | None:
    return next((file.yanked_reason for file in files if file.yanked_reason), None)


def _file(base: str, file: ReleaseFile) -> dict[str, Any]:
    digests = {"blake2b_256": file.blake2b_256, "md5": file.md5, "sha256": file.sha256}
    moment = file.created_at.astimezone(UTC)
    return {
        "comment_text": "",
        "digests": {algorithm: digest for algorithm, digest in digests.items() if digest},
        "downloads": -1,
        "filename": file.file_name,
        "has_sig": False,
        "md5_digest": file.md5,
        "packagetype": _package_type(file.file_name),
        "python_version": _python_version(file.file_name),
        "requires_python": file.requires_python or None,
        "size": file.size,
        "upload_time": _time(moment),
        "upload_time_iso_8601": f"{moment.replace(tzinfo=None).isoformat()}Z",
        "url": simple.file_url(base, file.sha256, file.file_name),
        "yanked": file.yanked,
        "yanked_reason": file.yanked_reason,
    }


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def _package_type(file_name: str) -> str:
    match names.kind_of(file_name):
        case "wheel":
            return "bdist_wheel"
        case "sdist":
            return "sdist"
        case "other":
            return next((kind for end, kind in _TYPES.items() if file_name.lower().endswith(end)), "bdist_dumb")


def _python_version(file_name: str) -> str:
    match names.kind_of(file_name):
        case "wheel":
            parts = file_name[: -len(".whl")].split("-")
            return parts[-3] if len(parts) >= 5 else "any"
        case "sdist":
            return "source"
        case "other":
            return "any"
