"""The nouns: frozen values that travel between modules. GitLab's words first, then the format's own."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Visibility = Literal["private", "internal", "public"]
PackageRegistryAccess = Literal["disabled", "private", "enabled", "public"]
# What may be done with a name of packages (PEP 792).
NameStatus = Literal["active", "archived", "quarantined", "deprecated"]


class Level(enum.Enum):
    """The three route prefixes of a package API."""

    PROJECT = "project"
    GROUP = "group"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True)
class Digests:
    """Hexadecimal digests of one content. sha256 is the identity; the others are there when a format needs them."""

    sha256: str
    md5: str | None = None
    sha1: str | None = None
    sha512: str | None = None
    blake2b_256: str | None = None


@dataclass(frozen=True, slots=True)
class Blob:
    """Stored bytes: `key` in the object store (`[0-9a-f/]`), `size` in bytes, digests."""

    id: int
    key: str
    size: int
    digests: Digests


@dataclass(frozen=True, slots=True)
class Group:
    """A namespace that owns projects: a group, or the personal namespace of a user (`kind`).

    `ancestry` holds the ids from the top-level group down to this one, itself included.
    """

    id: int
    kind: Literal["group", "user"]
    parent_id: int | None
    ancestry: tuple[int, ...]
    name: str
    path: str
    full_path: str
    description: str
    visibility: Visibility
    created_at: datetime
    owner_id: int | None = None
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def root_path(self) -> str:
        """The path of the top-level namespace above it, in lower case, as paths are compared."""
        return self.full_path.partition("/")[0].lower()


@dataclass(frozen=True, slots=True)
class Project:
    """Owner of packages. `ancestry` holds the ids of the namespaces above it, top-level first.

    `settings` are the package settings in force here: its own over its namespaces' over the instance's.
    """

    id: int
    namespace_id: int
    ancestry: tuple[int, ...]
    name: str
    path: str
    full_path: str
    description: str
    visibility: Visibility
    package_registry_access_level: PackageRegistryAccess
    archived: bool
    created_at: datetime
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def root_path(self) -> str:
        """The path of the top-level namespace above it, in lower case, as paths are compared."""
        return self.full_path.partition("/")[0].lower()


@dataclass(frozen=True, slots=True)
class Package:
    """One name at one version in one project (GitLab's `package` row).

    `name` is as published, `normalized_name` as the format compares names.
    """

    id: int
    project_id: int
    package_type: str
    name: str
    normalized_name: str
    version: str
    status: str
    created_at: datetime
    updated_at: datetime
    last_downloaded_at: datetime | None = None
    creator_id: int | None = None


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file of a package and where its bytes are.

    `requires_python`, `yanked` and the like are per file because the simple repository API is (PEP 503, 592).
    """

    id: int
    package_id: int
    file_name: str
    blob: Blob
    requires_python: str
    created_at: datetime
    yanked: bool = False
    yanked_reason: str | None = None
    core_metadata_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Tag:
    """A dist-tag: a name that points at one version."""

    id: int
    package_id: int
    name: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Target:
    """What a level and an id resolve to: the one project or group of the path, and the projects to look in.

    `projects` holds those whose packages the actor may read; at instance level there is neither project nor group.
    """

    level: Level
    project: Project | None
    group: Group | None
    projects: tuple[int, ...]
