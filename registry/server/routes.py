"""Routes are data: method, path, handler, ability, levels. A route without an ability cannot be written.

`Table` finds the route of a raw request path in a tree of segments, because aiohttp tries the resources that share a
prefix one after another (a hundred of them cost two thirds of the throughput).
"""

from __future__ import annotations

import operator
import urllib.parse
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from registry.access import Ability
from registry.errors import Invalid, MethodNotAllowed, NotFound, RegistryError
from registry.fsck import Examine, StoredName
from registry.model import Level
from registry.server import content
from registry.server.content import Answers, Content
from registry.server.parameters import Parameter

if TYPE_CHECKING:
    from registry.server.context import Context

Handler = Callable[["Context"], Awaitable[web.StreamResponse]]

PROJECT = frozenset({Level.PROJECT})
READABLE = frozenset({Level.PROJECT, Level.GROUP})
ALL_LEVELS = frozenset(Level)

# Longer paths are nobody's.
MAX_PATH = 4096
# How many paths are remembered with what they lead to, and how long these may be: 20 MB at most.
_REMEMBERED = 20_000
_REMEMBERED_PATH = 512


class BadPath(Invalid):
    """The path holds what no name may hold"""


@dataclass(frozen=True, slots=True)
class Face:
    """How a family of routes looks when it says no.

    `render` makes the answer to an error. The other three are what an anonymous caller is told: about a project or
    group that does not exist, that is hidden, that may be seen but not used like this (contract 2.3). A signed-in
    caller is told 404, 404, 403 everywhere. `errors` is what `render` puts into its bodies. Without `deploy_tokens`
    whoever comes with one is anonymous (contract 2.1).
    """

    render: Callable[[web.Request, RegistryError], web.Response]
    unknown: type[RegistryError]
    hidden: type[RegistryError]
    lacking: type[RegistryError]
    errors: Content = content.ERROR
    deploy_tokens: bool = True
    project_text: str = "404 Project Not Found"
    group_text: str = "404 Group Not Found"


@dataclass(frozen=True, slots=True)
class Route:
    """One line of a route table.

    `path` is a template below the base of each level: `{name}` takes one segment, `{name:number}` only one of digits,
    `{name:scoped}` takes two when the first begins with `@` and holds no slash of its own. `denied` is asked when
    access is refused and may answer instead, or raise what it was given. `face` differs from the family's where one
    route says no in another way. `parameters` are those of the query, or of the body where the method has one;
    management calls read them with `parameters.given`.

    A `placeless` route of a format has nothing to do with the project or group it is below: that is not looked up, and
    the route is treated like one of the instance's. `own` ones are about the caller alone, or tell nothing of what
    is here, and open to tokens that are limited to some packages. `counted` says of a public route that is no format's
    that requests count against the limits of the package APIs, as those of a format always do.

    The rest is for the OpenAPI document: `also`, what the handler asks of the caller besides, `headers` that it looks
    at, the `body` where it is not made of parameters, and `answers` by status, None for one without a body; those that
    all routes of a kind give are known.
    """

    method: str
    path: str
    handler: Handler
    ability: Ability
    levels: frozenset[Level] = PROJECT
    placeless: bool = False
    own: bool = False
    counted: bool = False
    denied: Callable[[Context, RegistryError], Awaitable[web.StreamResponse]] | None = None
    face: Face | None = None
    parameters: tuple[Parameter, ...] = ()
    also: Ability | None = None
    headers: tuple[Parameter, ...] = ()
    body: Content | None = None
    answers: Answers = field(default_factory=dict)


def _no_objections(_stored: StoredName) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Format:
    """Everything the kernel knows of a package type.

    `file_limit` is in bytes, when the instance sets no other. `normalize` makes of a name what names are compared by,
    and leaves `*` alone; `same_version` tells whether two texts are one version. `namespace_of` tells from the
    parameters of a path which top-level namespace is looked in at instance level, for a format that has that level.
    `examine` is what `registry fsck` asks about each stored name. `signed_text` makes of a name, a version and a
    hexadecimal sha512 what a signature of a version is about. `mounted` are paths that only a mount has, without a
    slash at the end, and what they are below a base. `title` is its name among people, `path_parameters` describes
    what stands in its paths, for the OpenAPI document.
    """

    package_type: str
    routes: tuple[Route, ...]
    face: Face
    file_limit: int
    normalize: Callable[[str], str] = str
    same_version: Callable[[str, str], bool] = operator.eq
    namespace_of: Callable[[Mapping[str, str]], str | None] | None = None
    examine: Examine = _no_objections
    signed_text: Callable[[str, str, str], str] | None = None
    mounted: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    path_parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route at one level, mounted: its full template, and what the pipeline needs of its family."""

    route: Route
    level: Level | None
    template: str
    face: Face
    format: Format | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """An endpoint and the decoded parameters of a path."""

    endpoint: Endpoint
    params: Mapping[str, str]


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    parameters: dict[tuple[str, str], _Node] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    face: Face | None = None


BASES = {
    Level.PROJECT: "/api/v4/projects/{{id}}/packages/{type}",
    Level.GROUP: "/api/v4/groups/{{id}}/-/packages/{type}",
    Level.INSTANCE: "/api/v4/packages/{type}",
}
_BASE_LENGTHS = tuple(base.count("/") for base in BASES.values())


class Table:
    """All routes of the server."""

    def __init__(self) -> None:
        self._root = _Node()
        self._found: dict[tuple[str, str], Match] = {}
        self.endpoints: list[Endpoint] = []
        self.formats: dict[str, Format] = {}

    def mount(self, format: Format) -> None:  # noqa: A002  # the word of the design
        """Add the routes of a format at their levels."""
        for base in BASES.values():
            self._node(base.format(type=format.package_type)).face = format.face
        for route in format.routes:
            for level in Level:
                if level in route.levels:
                    base = BASES[level].format(type=format.package_type)
                    at = None if route.placeless else level
                    self._add(Endpoint(route, at, base + route.path, route.face or format.face, format))

    def add(self, routes: tuple[Route, ...], face: Face) -> None:
        """Add routes whose paths are complete. Those about a project or group start with `{id}` below its noun."""
        for route in routes:
            level = None
            if route.path.startswith("/api/v4/projects/{id}"):
                level = Level.PROJECT
            elif route.path.startswith("/api/v4/groups/{id}"):
                level = Level.GROUP
            self._add(Endpoint(route, level, route.path, route.face or face))

    def find(self, method: str, raw_path: str) -> Match:
        """The endpoint of a raw request target. Raises NotFound, MethodNotAllowed, Invalid for broken encodings."""
        path = path_of(raw_path)
        key = (method, path)
        found = self._found.get(key)
        if found is None:
            found = self._search(method, path)
            if len(path) <= _REMEMBERED_PATH:
                if len(self._found) >= _REMEMBERED:
                    self._found.clear()
                self._found[key] = found
        return found

    def face(self, raw_path: str) -> Face | None:
        """How the format says no below whose base a path lies that has no route; None for other paths."""
        raw = path_of(raw_path)[:MAX_PATH].split("/")[1:]
        # No base holds an encoded literal; what cannot be decoded stands for a name as well as any other.
        segments = [segment if segment.isascii() and "%" not in segment else "-" for segment in raw]
        for length in _BASE_LENGTHS:
            for node, _ in _walk(self._root, segments[:length], 0, ()):
                if node.face is not None:
                    return node.face
        return None

    def _node(self, template: str) -> _Node:
        node = self._root
        for segment in template.split("/")[1:]:
            if segment.startswith("{"):
                name, _, kind = segment[1:-1].partition(":")
                node = node.parameters.setdefault((name, kind), _Node())
            else:
                child = node.literals.setdefault(segment, _Node())
                # Some clients encode a plus sign, some do not.
                node.literals.setdefault(segment.replace("+", "%2B"), child)
                node = child
        return node

    def _add(self, endpoint: Endpoint) -> None:
        node = self._node(endpoint.template)
        if endpoint.route.method in node.endpoints:
            raise ValueError(f"{endpoint.route.method} {endpoint.template} is mounted twice")
        node.endpoints[endpoint.route.method] = endpoint
        if endpoint.format is not None:
            self.formats.setdefault(endpoint.format.package_type, endpoint.format)
        self.endpoints.append(endpoint)

    def _search(self, method: str, path: str) -> Match:
        if len(path) > MAX_PATH or not path.startswith("/"):
            raise NotFound
        segments = path.split("/")[1:]
        if segments[-1] == "" and len(segments) > 1:
            # GitLab's router drops a trailing slash; no redirect, because twine stops at one.
            segments.pop()
        allowed: set[str] = set()
        wanted = "GET" if method == "HEAD" else method
        for node, params in _walk(self._root, segments, 0, ()):
            endpoint = node.endpoints.get(wanted)
            if endpoint is not None:
                return Match(endpoint, dict(params))
            allowed.update(node.endpoints)
        if allowed:
            raise MethodNotAllowed(frozenset(allowed | ({"HEAD"} if "GET" in allowed else set())))
        raise NotFound


def path_of(raw_path: str) -> str:
    """The path of a request target, without its query, which may hold a token, and without the host in front of it.

    That is how a client asks a proxy, which may pass it on like that (RFC 9112, section 3.2.2).
    """
    path = raw_path.partition("?")[0]
    if path.startswith(("http://", "https://")):
        return "/" + path.partition("://")[2].partition("/")[2]
    return path


Params = tuple[tuple[str, str], ...]


def _walk(node: _Node, segments: list[str], at: int, params: Params) -> Iterator[tuple[_Node, Params]]:
    """Every node that the segments may lead to, literal readings first."""
    if at == len(segments):
        yield node, params
        return
    raw = segments[at]
    literal = node.literals.get(raw)
    if literal is not None:
        yield from _walk(literal, segments, at + 1, params)
    for (name, kind), child in node.parameters.items():
        if kind == "number" and not (raw.isascii() and raw.isdigit()):
            continue
        value = _decode(raw)
        if kind == "scoped" and value.startswith("@") and "/" not in value and at + 1 < len(segments):
            whole = f"{value}/{_decode(segments[at + 1])}"
            yield from _walk(child, segments, at + 2, (*params, (name, whole)))
        elif value:
            yield from _walk(child, segments, at + 1, (*params, (name, value)))


def _decode(segment: str) -> str:
    """Percent-decode once. Raises Invalid for what no name may hold: broken UTF-8, control characters."""
    if "%" not in segment and segment.isascii():
        return segment
    try:
        # Bytes that came without encoding and are no UTF-8 arrive here as surrogates, which refuse to be encoded.
        value = urllib.parse.unquote_to_bytes(segment).decode()
    except UnicodeError:
        raise BadPath("the path is not valid UTF-8") from None
    if any(character < " " or character == "\x7f" for character in value):
        raise BadPath("the path holds control characters")
    return value
