"""Coherence: a manifest must say about installing what the package.json in its tarball says.

Installers decide from the manifest and run what is in the tarball; where the two differ, scanners see one package
and users get another (manifest confusion, CVE-2024-6595). Clients do not send package.json as it is, though: both
sides are normalised as npm does it (`@npmcli/package-json` of npm 11, steps of `prepare` and `normalize`) before they
are compared.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from urllib.parse import unquote

from registry.errors import Invalid
from registry.formats.npm import semver
from registry.formats.npm.tarball import Inspection, secure

INCOHERENT = "Package manifest is not coherent"

INSTALL_SCRIPTS = ("preinstall", "install", "postinstall")
GYP_REBUILD = "node-gyp rebuild"

_BIN_FOLDER = re.compile(r"^(\.[/\\])?node_modules[/\\].bin[\\/]")
_GIT_HOSTS = {
    "github": "github.com",
    "gitlab": "gitlab.com",
    "bitbucket": "bitbucket.org",
    "gist": "gist.github.com",
    "sourcehut": "git.sr.ht",
}
_GIT_SHORTCUT = re.compile(rf"(?:({'|'.join(_GIT_HOSTS)}):)?([^@:#\s./][^@:#\s]*)(?:#(.*))?")
_GIT_URL = re.compile(
    rf"(?:(?:git|https?|ssh|git\+https?|git\+ssh)://)?(?:[^@/#\s]*@)?(?:www\.)?"
    rf"({'|'.join(re.escape(host) for host in _GIT_HOSTS.values())})[/:]([^#\s]+?)/?(?:#(.*))?"
)


def check(manifest: Mapping[str, object], inspection: Inspection, *, strict_name: bool) -> None:
    """Compare the version object of a publish document with what the tarball holds.

    A differing name is tolerated unless `strict_name`: GitLab's documented example does exactly that. Raises Invalid
    naming the first field that differs.
    """
    packed = inspection.package_json
    name = str(manifest.get("name", ""))
    if strict_name and packed.get("name") != name:
        raise _differs("name")
    version, published_version = (package.get("version") for package in (packed, manifest))
    if semver.clean(str(version)) != semver.clean(str(published_version)):
        raise _differs("version")
    ours, theirs = normalize(packed, name), normalize(manifest, name)
    for field, value in theirs.items():
        if value != ours[field] and not _is_derived(field, value, ours, inspection):
            raise _differs(field)


def normalize(package: Mapping[str, object], name: str) -> dict[str, object]:
    """The fields that installers act on, each in its one normal form; absent and empty are the same."""
    bundled = bundle_dependencies(package)
    optional = _dependencies(package.get("optionalDependencies"))
    dependencies = _dependencies(package.get("dependencies"))
    if isinstance(dependencies, dict):
        dependencies = dict.fromkeys(bundled, "*") | dependencies
        if isinstance(optional, dict):
            # Listed twice it is optional: once common, for versions of npm that did not know optional ones.
            dependencies = {key: spec for key, spec in dependencies.items() if key not in optional}
    return {
        "dependencies": dependencies,
        "optionalDependencies": optional,
        "devDependencies": _dependencies(package.get("devDependencies")),
        "peerDependencies": _dependencies(package.get("peerDependencies")),
        "peerDependenciesMeta": package.get("peerDependenciesMeta") or {},
        "acceptDependencies": package.get("acceptDependencies") or {},
        "bundleDependencies": sorted(bundled),
        "bin": _bin(package.get("bin"), name),
        "directories.bin": _bin_folder(package.get("directories")),
        **{f"scripts.{event}": script for event, script in install_scripts(package).items()},
        **{field: _list(package.get(field)) for field in ("os", "cpu", "libc")},
        "engines": package.get("engines") or {},
    }


def bundle_dependencies(package: Mapping[str, object]) -> list[str]:
    """The names of the bundled dependencies, from either spelling of the key; `true` means all dependencies."""
    value = package.get("bundleDependencies")
    if value is None:
        value = package.get("bundledDependencies")
    if value is True:
        value = package.get("dependencies")
    return [name for name in value if isinstance(name, str) and name] if isinstance(value, dict | list) else []


def install_scripts(package: Mapping[str, object]) -> dict[str, str]:
    """The scripts that run when a package is installed, by event; empty when there is none."""
    scripts = package.get("scripts")
    found = {event: scripts.get(event) if isinstance(scripts, dict) else None for event in INSTALL_SCRIPTS}
    return {event: _BIN_FOLDER.sub("", text) if isinstance(text, str) else "" for event, text in found.items()}


def _is_derived(field: str, value: object, packed: Mapping[str, object], inspection: Inspection) -> bool:
    """Whether the manifest's value is what a client makes of the tarball's files."""
    if field == "directories.bin":
        return not value  # yarn 1 lists the folder in `bin` instead
    if packed[field]:
        return False
    if field == "scripts.install":
        gypfile = inspection.package_json.get("gypfile") is not False and inspection.has_gyp
        return value == GYP_REBUILD and gypfile and not packed["scripts.preinstall"]
    if field == "bin" and isinstance(value, dict):
        # npm lists directories.bin; a folder in it becomes an entry like a file.
        known = set(inspection.bin_files)
        for path in inspection.bin_files:
            while path := posixpath.dirname(path):
                known.add(path)
        return all(target in known and posixpath.basename(target) == base for base, target in value.items())
    return False


def _dependencies(value: object) -> object:
    """Name to range; lists and comma-separated texts are forms of the early days. What is none of these stays."""
    if isinstance(value, str):
        value = re.split(r"[\s,]+", value.strip())
    if isinstance(value, list):
        parts = [re.split(r"(:?[@\s><=])", item.strip(), maxsplit=1) for item in value if isinstance(item, str)]
        value = {part[0]: "".join(part[1:]).removeprefix("@").strip() for part in parts if part != [""]}
    if isinstance(value, dict):
        return {key: _canonical(spec) for key, spec in value.items() if isinstance(spec, str)}
    return value or {}


def _canonical(spec: str) -> str:
    """A reference to a repository at a known host in one spelling; any other spec as it is.

    npm rewrites `user/repo` and `git@github.com:user/repo.git` (`hosted-git-info`).
    """
    if shortcut := _GIT_SHORTCUT.fullmatch(spec):
        host, path, commit = shortcut[1] or "github", shortcut[2], shortcut[3]
        if not shortcut[1] and path.count("/") != 1:
            return spec
    elif url := _GIT_URL.fullmatch(spec):
        host = next(name for name, domain in _GIT_HOSTS.items() if domain == url[1])
        path, commit = url[2], url[3]
    else:
        return spec
    parts = path.split("/")
    if host == "github" and len(parts) == 4 and parts[2] == "tree" and not commit:
        parts, commit = parts[:2], parts[3]
    if not all(parts) or (host != "gitlab" and len(parts) > 2) or "-" in parts:
        return spec
    # A gist is known by its id alone; npm drops the user.
    path = "/".join(parts[-1:] if host == "gist" else parts).removesuffix(".git")
    return unquote(f"{host}:{path}#{commit}" if commit else f"{host}:{path}")


def _bin(value: object, name: str) -> dict[str, str]:
    if isinstance(value, str):
        value = {name: value} if value else {}
    if isinstance(value, list):
        value = {posixpath.basename(item): item for item in value if isinstance(item, str)}
    if not isinstance(value, dict):
        return {}
    commands = {
        posixpath.basename(secure(key)): secure(target) for key, target in value.items() if isinstance(target, str)
    }
    return {command: target for command, target in commands.items() if command and target}


def _bin_folder(directories: object) -> str:
    folder = directories.get("bin") if isinstance(directories, dict) else None
    return secure(folder) if isinstance(folder, str) else ""


def _list(value: object) -> object:
    if isinstance(value, list):
        return sorted(item for item in value if isinstance(item, str))
    return [value] if isinstance(value, str) and value else value or []


def _differs(field: str) -> Invalid:
    return Invalid(f"{INCOHERENT}: {field} differs from package.json in the tarball")
