"""Audit reports: what is known against packages, in the forms that today's clients read (npm.md, A.9)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
# Of one advisory in a report of npm 6 and pnpm 10, and of all: trees repeat themselves.
MOST_PATHS = 100
MOST_PATHS_IN_ALL = 10_000
_LONGEST_PATH = 500
# Advisories about the packages of a tree, whatever its versions: the largest trees have two thousand.
MOST_KNOWN = 5_000
# Versions held against the intervals of advisories, and versions that these list: a second of work, some MB of answer.
MOST_COMPARED = 1_000_000
# Characters of an advisory's details in a report.
_OVERVIEW = 2_000

_SEVERITIES = ("info", "low", "moderate", "high", "critical")

Installed = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Tree:
    """What an audit is about: the versions by name, and for `audits` their places, as (name, version, path)."""

    installed: Installed
    places: tuple[tuple[str, str, str], ...] = ()


def parse_bulk(document: Mapping[str, object]) -> Tree:
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
    return Tree(found)


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
            path = path if len(path) <= _LONGEST_PATH else f"...>{name}"
            if isinstance(one.get("version"), str):
                places.append((name, one["version"], path))
            waiting.append((one.get("dependencies"), path))
            if len(places) > MOST_VERSIONS or len(waiting) > MOST_VERSIONS:
                raise _too_many()
    installed: dict[str, set[str]] = {}
    for name, version, _ in places:
        installed.setdefault(name, set()).add(version)
    return Tree({name: frozenset(versions) for name, versions in installed.items()}, tuple(places))


def bulk(tree: Tree, known: Sequence[PackageAdvisory]) -> bytes:
    """What is known against the versions that are installed, by package name. Raises TooLarge.

    When nothing is known, GitLab answers a list; npm 7 and later expect an object.
    """
    report: dict[str, list[object]] = {}
    for one, _ in _matches(tree.installed, known):
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
    """The report that npm 6 and pnpm 10 read, with every place where an advisory applies, up to a limit.

    Raises TooLarge.
    """
    left = MOST_PATHS_IN_ALL
    counts = dict.fromkeys(_SEVERITIES, 0)
    found, actions = dict[str, object](), list[object]()
    where: dict[str, list[tuple[str, str]]] = {}
    for name, version, path in tree.places:
        where.setdefault(name, []).append((version, path))
    for one, versions in _matches(tree.installed, known):
        places = [(version, path) for version, path in where[one.name] if version in versions]
        counts[one.severity] += len(places)
        # One at least of each: clients look at the first.
        told = places[: max(1, min(MOST_PATHS, left))]
        left -= len(told)
        found[str(one.id)] = _advisory(one, told)
        resolves = [{"id": one.id, "path": path, "dev": False, "optional": False, "bundled": False} for _, path in told]
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


@dataclass(frozen=True, slots=True)
class Form:
    """One of the two forms of an audit: how it is asked, how it is answered, how much of each advisory's details."""

    parse: Callable[[Mapping[str, object]], Tree]
    report: Callable[[Tree, Sequence[PackageAdvisory]], bytes]
    details: int


BULK = Form(parse_bulk, bulk, 0)
QUICK = Form(parse_tree, quick, _OVERVIEW)


def affected(advisory: PackageAdvisory, versions: Iterable[str]) -> frozenset[str]:
    """Which of some versions an advisory is about (OSV schema, evaluation): those in a range, or listed."""
    listed = frozenset(advisory.versions)
    return frozenset(version for version in versions if version in listed or _covers(advisory, version))


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


def _matches(
    installed: Installed, known: Sequence[PackageAdvisory]
) -> Iterator[tuple[PackageAdvisory, frozenset[str]]]:
    """The advisories that apply, each with the versions it is about. Raises TooLarge for too much to look at."""
    compared = sum((len(installed.get(one.name, ())) + len(one.versions)) * (1 + len(one.ranges)) for one in known)
    if len(known) > MOST_KNOWN or compared > MOST_COMPARED:
        raise TooLarge(f"More than {MOST_KNOWN} advisories are about these packages: audit fewer of them at a time")
    for one in known:
        versions = affected(one, installed.get(one.name, ()))
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
