"""Tarballs: what is read from the inside of a package's `.tgz`."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

import orjson

from registry.archives import TarMember, tar_members
from registry.errors import Invalid

PACKAGE_JSON_LIMIT = 4 * 1024 * 1024  # bytes; GitLab

# The fields of package.json that the checks and the computed fields of a manifest need.
FIELDS = (
    "name",
    "version",
    "dependencies",
    "devDependencies",
    "optionalDependencies",
    "peerDependencies",
    "peerDependenciesMeta",
    "acceptDependencies",
    "bundleDependencies",
    "bundledDependencies",
    "bin",
    "directories",
    "scripts",
    "gypfile",
    "os",
    "cpu",
    "libc",
    "engines",
)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a tarball holds.

    `package_json` has the `FIELDS` only; `unpacked_size` is in bytes; `has_gyp` means any `*.gyp` beside package.json,
    `has_binding_gyp` the one that npm builds; `bin_files` are the files below `directories.bin`, if that is given.
    """

    package_json: Mapping[str, object]
    file_count: int
    unpacked_size: int
    has_shrinkwrap: bool
    has_gyp: bool
    has_binding_gyp: bool
    bin_files: list[str]


def inspect(file: BinaryIO) -> dict[str, object]:
    """Read a tarball; the result is JSON-able: the arguments of `Inspection`.

    npm clients drop the first folder of every path, whatever its name. Raises Invalid when the archive is damaged or
    hostile (see `registry.archives`), when package.json is absent, too large or no JSON object, and when a second
    file could take its place.
    """
    package_json: dict[str, object] | None = None
    files: list[str] = []
    size = 0
    for member in tar_members(file):
        path = _path(member.name)
        if member.kind == "file":
            files.append(path)
            size += member.size
        # Without regard to case: on macOS and Windows a later PACKAGE.JSON overwrites the one that was checked.
        if path.casefold() == "package.json":
            if package_json is not None:
                raise Invalid(f"The tarball holds package.json twice: {member.name!r}")
            package_json = _read(member)
    if package_json is None:
        raise Invalid("package.json not found")
    roots = {path for path in files if "/" not in path}
    return dataclasses.asdict(
        Inspection(
            package_json={key: package_json[key] for key in FIELDS if key in package_json},
            file_count=len(files),
            unpacked_size=size,
            has_shrinkwrap="npm-shrinkwrap.json" in roots,
            has_gyp=any(path.endswith(".gyp") for path in roots),
            has_binding_gyp="binding.gyp" in roots,
            bin_files=_below(files, package_json.get("directories")),
        )
    )


def secure(reference: str) -> str:
    """A path of package.json as npm normalises it: relative to the package, never above it, slashes only."""
    return posixpath.normpath("/" + reference.replace("\\", "/").replace(":", "/")).lstrip("/")


def _path(name: str) -> str:
    """Where clients put a member: without the first folder, and without the empty parts that some of them skip."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in {"", "."}]
    return "/".join(parts[1:])


def _read(member: TarMember) -> dict[str, object]:
    if member.kind != "file" or not _is_literal(member.name):
        raise Invalid(f"package.json not found: {member.name!r} is not a file that every client reads")
    if member.size > PACKAGE_JSON_LIMIT:
        raise Invalid("package.json file too large")
    try:
        content = orjson.loads(member.read(PACKAGE_JSON_LIMIT).removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise Invalid("invalid package file: package.json is not valid JSON") from error
    if not isinstance(content, dict):
        raise Invalid("invalid package file: package.json is not an object")
    return content


def _is_literal(name: str) -> bool:
    folder, slash, base = name.partition("/")
    return bool(folder and slash) and base == "package.json"


def _below(files: list[str], directories: object) -> list[str]:
    directory = directories.get("bin") if isinstance(directories, dict) else None
    if not isinstance(directory, str) or not directory:
        return []
    prefix = secure(directory)
    return [path for path in files if not prefix or path.startswith(f"{prefix}/")]
