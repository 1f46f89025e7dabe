"""Package entities: how the management API shows packages, their files and protection rules (GitLab's field names)."""

from __future__ import annotations

from urllib.parse import urlsplit

from registry.access import AccessLevel
from registry.api.entities import Entity, timestamp
from registry.db.package_lists import FileDetails, PackageDetails, Sibling
from registry.db.protection import ProtectionRule
from registry.model import Tag


def package(one: PackageDetails, tags: list[Tag], base_url: str, *, deletable: bool, of_group: bool) -> Entity:
    """A package. `deletable` says whether the caller may delete it; in lists of groups it names its project."""
    links = {"web_path": f"{urlsplit(base_url).path}/{one.project_path}/-/packages/{one.id}"}
    if deletable:
        links["delete_api_path"] = f"{base_url}/api/v4/projects/{one.project_id}/packages/{one.id}"
    home = {"project_id": one.project_id, "project_path": one.project_path} if of_group else {}
    return {
        "id": one.id,
        "name": one.name,
        "version": one.version,
        "package_type": one.package_type,
        "status": one.status,
        "_links": links,
        "created_at": timestamp(one.created_at),
        "last_downloaded_at": timestamp(one.last_downloaded_at),
        "creator_id": one.creator_id,
        **home,
        "tags": [_tag(tag) for tag in tags],
        "pipelines": [],
    }


def package_version(one: Sibling, tags: list[Tag]) -> Entity:
    """Another version of a package's name."""
    return {
        "id": one.id,
        "version": one.version,
        "created_at": timestamp(one.created_at),
        "tags": [_tag(tag) for tag in tags],
        "pipelines": [],
    }


def package_file(one: FileDetails) -> Entity:
    """A file of a package."""
    return {
        "id": one.id,
        "package_id": one.package_id,
        "created_at": timestamp(one.created_at),
        "file_name": one.file_name,
        "size": one.size,
        "file_md5": one.md5,
        "file_sha1": one.sha1,
        "file_sha256": one.sha256,
        "pipelines": [],
        **({"attestations": one.attestations} if one.attestations else {}),
    }


def protection_rule(one: ProtectionRule) -> Entity:
    """A package protection rule."""
    return {
        "id": one.id,
        "project_id": one.project_id,
        "package_name_pattern": one.package_name_pattern,
        "package_type": one.package_type,
        "minimum_access_level_for_push": _level_name(one.minimum_access_level_for_push),
        "minimum_access_level_for_delete": _level_name(one.minimum_access_level_for_delete),
    }


def _tag(one: Tag) -> Entity:
    return {
        "id": one.id,
        "package_id": one.package_id,
        "name": one.name,
        "created_at": timestamp(one.created_at),
        "updated_at": timestamp(one.updated_at),
    }


def _level_name(level: int | None) -> str | None:
    return None if level is None else AccessLevel(level).name.lower()
