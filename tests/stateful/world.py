"""What a registry should hold: everything that is published, and who may do what. Pure; asks nobody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

# The access levels that these take on GitLab.
READ, CREATE, DESTROY = 10, 30, 40
# Ascending in the order of semver.org.
NPM_VERSIONS = ("1.0.0", "1.1.0", "2.0.0-rc.1")
# The top-level group; what is scoped like it is unique in all of it.
ROOT_PATH = "acme"

Outcome = Literal["created", "replayed", "refused"]


@dataclass(frozen=True, slots=True)
class File:
    """A distribution of PyPI."""

    version: str
    content: bytes


@dataclass(slots=True)
class Release:
    """A version of npm. Without its tarball, which may be deleted alone, it is taken but not shown."""

    tarball: bytes | None
    session: str
    deprecated: str | None = None


@dataclass
class Home:
    """A project. `files` are by (name, file name), `packages` (name, version) of PyPI, which may be without files."""

    id: int
    visibility: str = "private"
    levels: dict[str, int] = field(default_factory=dict)
    files: dict[tuple[str, str], File] = field(default_factory=dict)
    packages: set[tuple[str, str]] = field(default_factory=set)
    releases: dict[tuple[str, str], Release] = field(default_factory=dict)
    tags: dict[tuple[str, str], str] = field(default_factory=dict)

    def may(self, person: str, level: int) -> bool:
        """Whether somebody reaches a level here. `nobody` shows no token, `root` is the administrator."""
        if person == "root":
            return True
        if level == READ and (self.visibility == "public" or (self.visibility == "internal" and person != "nobody")):
            return True
        return self.levels.get(person, 0) >= level

    def page(self, name: str) -> dict[str, bytes] | None:
        """The files that the simple page of a name lists; None when there is no such page."""
        if all(name != one for one, _ in self.packages):
            return None
        return {file_name: file.content for (one, file_name), file in self.files.items() if one == name}

    def versions(self, name: str) -> dict[str, Release]:
        """The versions that the packument of a name lists."""
        return {
            version: release
            for (one, version), release in self.releases.items()
            if one == name and release.tarball is not None
        }

    def dist_tags(self, name: str) -> dict[str, str]:
        """The tags that the packument of a name shows: `latest` is always there."""
        shown = self.versions(name)
        highest = max(shown, key=NPM_VERSIONS.index)
        tags = {tag: version for (one, tag), version in self.tags.items() if one == name and version in shown}
        return {"latest": highest, **tags}

    def publish_file(self, name: str, file_name: str, file: File) -> Outcome:
        """Identical bytes succeed again; other bytes never take the name of a file."""
        held = self.files.get((name, file_name))
        if held is not None:
            return "replayed" if held == file else "refused"
        self.files[name, file_name] = file
        self.packages.add((name, file.version))
        return "created"

    def delete_version(self, package_type: str, name: str, version: str) -> None:
        if package_type == "pypi":
            self.packages.remove((name, version))
            self.files = {key: file for key, file in self.files.items() if (key[0], file.version) != (name, version)}
        else:
            del self.releases[name, version]
            self.tags = {key: tagged for key, tagged in self.tags.items() if (key[0], tagged) != (name, version)}

    def delete_file(self, package_type: str, name: str, version: str, file_name: str) -> None:
        if package_type == "pypi":
            del self.files[name, file_name]
        else:
            self.releases[name, version].tarball = None

    def contents(self) -> list[bytes]:
        """Everything stored for this project."""
        tarballs = [release.tarball for release in self.releases.values() if release.tarball is not None]
        return [file.content for file in self.files.values()] + tarballs


@dataclass
class World:
    """All projects; the tokens of the users, live ones by name, and those that never work again; the audit rows."""

    homes: list[Home] = field(default_factory=list)
    live: dict[str, str] = field(default_factory=dict)
    revoked: list[str] = field(default_factory=list)
    audited: int = 0

    def publish_release(self, home: Home, name: str, version: str, tag: str, release: Release) -> Outcome:
        """A version is taken for ever, but for a repetition of the very same publish."""
        held = home.releases.get((name, version))
        if held is not None:
            same = held.tarball is not None and (held.tarball, held.session) == (release.tarball, release.session)
            return "replayed" if same else "refused"
        elsewhere = any((name, version) in other.releases for other in self.homes if other is not home)
        if elsewhere and name.startswith(f"@{ROOT_PATH}/"):
            return "refused"
        home.releases[name, version] = release
        home.tags[name, tag] = version
        return "created"
