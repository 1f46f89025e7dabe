"""Audit reports: what is known against packages, in the forms that today's clients read (npm.md, A.9)."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson

from registry.db.advisories import PackageAdvisory
from registry.errors import Invalid, TooLarge
from registry.formats.npm import semver
from registry.formats.npm.packument import iso
from registry.formats.npm.semver import Precedence

ECOSYSTEM = "npm"
# A lock file of ten thousand packages is a large one.
MOST_VERSIONS = 50_000
MOST_PATHS = 100  # of one advisory in a report of npm 6 and pnpm 10: trees repeat themselves

_SEVERITIES = ("info", "low", "moderate", "high", "critical")

# `advisories/bulk` when nothing is known: GitLab answers a list; npm 7 and later expect an object.
BULK = b"{}"

Installed = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Tree:
    """What `audits` and `audits/quick` are asked about: every place in a tree, as (name, version, path)."""

    places: tuple[tuple[str, str, str], ...]

    @property
    def installed(self) -> Installed:
        """The versions by name."""
        found: dict[str, set[str]] = {}
        for name, version, _ in self.places:
            found.setdefault(name, set()).add(version)
        return {name: frozenset(versions) for name, versions in found.items()}


def parse_bulk(document: Mapping[str, object]) -> Installed:
    """Read names and lists of versions. Raises Invalid, TooLarge."""
    found: dict[str, frozenset[str]] = {}
    total = 0
    for name, versions in document.items():
        if not isinstance(versions, list):
            raise Invalid("an audit is about lists of versions by package name")
        total += max(len(versions), 1)
        if total > MOST_VERSIONS:
            raise _too_many()
        # Versions of links and git checkouts may be anything: nothing is known of these.
        found[name] = frozenset(version for version in versions if isinstance(version, str))
    return found


def parse_tree(document: Mapping[str, object]) -> Tree:
    """Read a dependency tree, as deep as it is. Raises Invalid, TooLarge."""
    places: list[tuple[str, str, str]] = []
    waiting: list[tuple[object, str]] = [(document.get("dependencies"), "")]
    while waiting:
        dependencies, above = waiting.pop()
        if dependencies is None:
            continue
        if not isinstance(dependencies, dict):
            raise Invalid("dependencies is an object")
        for name, one in dependencies.items():
            if not isinstance(one, dict):
                continue
            path = f"{above}>{name}" if above else name
            # Paths grow with the depth, and somebody may send nothing but depth.
            path = path if len(path) <= 2000 else f"...>{name}"
            if isinstance(one.get("version"), str):
                places.append((name, one["version"], path))
            waiting.append((one.get("dependencies"), path))
            if len(places) > MOST_VERSIONS or len(waiting) > MOST_VERSIONS:
                raise _too_many()
    return Tree(tuple(places))


def bulk(installed: Installed, known: Sequence[PackageAdvisory]) -> bytes:
    """What is known against the versions that are installed, by package name."""
    report: dict[str, list[object]] = {}
    for one, _ in _matches(installed, known):
        report.setdefault(one.name, []).append(
            {
                "id": one.id,
                "url": one.url,
                "title": one.title,
                "severity": one.severity,
                "vulnerable_versions": vulnerable_versions(one),
                "cwe": one.cwes,
                "cvss": {"score": one.cvss_score, "vectorString": one.cvss_vector},
            }
        )
    return orjson.dumps(report)


def quick(tree: Tree, known: Sequence[PackageAdvisory]) -> bytes:
    """The report that npm 6 and pnpm 10 read, with every place where an advisory applies, up to a limit."""
    counts = dict.fromkeys(_SEVERITIES, 0)
    found, actions = dict[str, object](), list[object]()
    where: dict[str, list[tuple[str, str]]] = {}
    for name, version, path in tree.places:
        where.setdefault(name, []).append((version, path))
    for one, versions in _matches(tree.installed, known):
        places = [(version, path) for version, path in where[one.name] if version in versions]
        counts[one.severity] += len(places)
        found[str(one.id)] = _advisory(one, places[:MOST_PATHS])
        resolves = [
            {"id": one.id, "path": path, "dev": False, "optional": False, "bundled": False}
            for _, path in places[:MOST_PATHS]
        ]
        actions.append({"action": "review", "module": one.name, "resolves": resolves})
    total = len(tree.places)
    metadata = {
        "vulnerabilities": counts,
        "dependencies": total,
        "devDependencies": 0,
        "optionalDependencies": 0,
        "totalDependencies": total,
    }
    return orjson.dumps({"actions": actions, "advisories": found, "muted": [], "metadata": metadata})


def is_affected(advisory: PackageAdvisory, version: str) -> bool:
    """Whether an advisory is about a version (OSV schema, evaluation): in a range, or listed."""
    if version in advisory.versions:
        return True
    exact = _precedence(version)
    if exact is None:
        return False
    return any(_is_within(exact, *interval) for interval in advisory.ranges)


def vulnerable_versions(advisory: PackageAdvisory) -> str:
    """The same as a range of node-semver, which clients hold against other versions they might install."""
    ranges = []
    for introduced, fixed, last in advisory.ranges:
        lower = f">={introduced}" if _bound(introduced) else ""
        upper = f"<{fixed}" if fixed is not None else f"<={last}" if last is not None else ""
        ranges.append(f"{lower} {upper}".strip() or "*")
    listed = [] if "*" in ranges else [f"={version}" for version in advisory.versions if _precedence(version)]
    covered = [one for one in listed if not ranges or not _covers(advisory, one[1:])]
    return " || ".join([*ranges, *covered])


def _matches(installed: Installed, known: Sequence[PackageAdvisory]) -> Iterator[tuple[PackageAdvisory, set[str]]]:
    for one in known:
        versions = {version for version in installed.get(one.name, ()) if is_affected(one, version)}
        if versions:
            yield one, versions


def _advisory(one: PackageAdvisory, places: Sequence[tuple[str, str]]) -> dict[str, object]:
    paths: dict[str, list[str]] = {}
    for version, path in places:
        paths.setdefault(version, []).append(path)
    fixed = [end for _, end, _ in one.ranges if end is not None]
    return {
        "id": one.id,
        "title": one.title,
        "module_name": one.name,
        "severity": one.severity,
        "url": one.url,
        "overview": one.details,
        "recommendation": f"Upgrade to version {fixed[-1]} or later" if fixed else "None",
        "vulnerable_versions": vulnerable_versions(one),
        "patched_versions": " || ".join(f">={end}" for end in fixed) or "<0.0.0",
        "cwe": one.cwes,
        "cves": [],
        "cvss": {"score": one.cvss_score, "vectorString": one.cvss_vector},
        "access": "public",
        "created": iso(one.published),
        "updated": iso(one.modified),
        "findings": [{"version": version, "paths": some} for version, some in paths.items()],
    }


def _covers(advisory: PackageAdvisory, version: str) -> bool:
    exact = _precedence(version)
    return exact is not None and any(_is_within(exact, *interval) for interval in advisory.ranges)


def _is_within(exact: Precedence, introduced: str | None, fixed: str | None, last: str | None) -> bool:
    lowest = _bound(introduced)
    if lowest is not None and exact < lowest:
        return False
    if fixed is not None:
        end = _bound(fixed)
        return end is not None and exact < end
    if last is not None:
        end = _bound(last)
        return end is not None and exact <= end
    return True


def _bound(version: str | None) -> Precedence | None:
    """An end of an interval. `0` is below everything (OSV schema), hence None."""
    return None if version in {None, "0"} else _precedence(version or "")


@functools.lru_cache(maxsize=65_536)
def _precedence(version: str) -> Precedence | None:
    try:
        return semver.parse(version).precedence
    except Invalid:
        return None


def _too_many() -> TooLarge:
    return TooLarge(f"An audit is about at most {MOST_VERSIONS} versions")
