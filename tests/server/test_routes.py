"""Routes: a path leads to one endpoint or to nothing, however it is spelled."""

from __future__ import annotations

import itertools
import re
import urllib.parse
from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import assume, given
from hypothesis import strategies as st

from registry import accounts, app
from registry.access import Ability
from registry.errors import Invalid, MethodNotAllowed, NotFound
from registry.model import Project
from registry.server import routes
from registry.server.context import Context
from registry.server.routes import Endpoint, Face, Route, Table
from tests.formats.pypi.distributions import a_wheel
from tests.people import OPERATOR, ROOT_TOKEN, People
from tests.server.wire import Answer, Wire, wired


async def handler(context: Context) -> web.StreamResponse:
    raise AssertionError


FACE = Face(render=lambda _request, _error: web.Response(), unknown=NotFound, hidden=NotFound, lacking=NotFound)


def a_table(*lines: str) -> Table:
    table = Table()
    for line in lines:
        method, path = line.split()
        table.add((Route(method, path, handler, Ability.PUBLIC),), FACE)
    return table


def found(table: Table, method: str, path: str) -> tuple[str, dict[str, str]] | set[str] | type[Exception]:
    """Template and parameters, or the methods allowed, or the error."""
    try:
        match = table.find(method, path)
    except MethodNotAllowed as error:
        return set(error.allowed)
    except NotFound:
        return NotFound
    except Invalid:
        return Invalid
    return match.endpoint.template, dict(match.params)


# --- the tree against a matcher that tries every route ---------------------------------------------------------------


def read(template: list[str], segments: list[str]) -> dict[str, str] | None:
    """The parameters of decoded segments, if they fit the template."""
    params: dict[str, str] = {}
    rest = list(segments)
    for part in template:
        if not rest:
            return None
        value = rest.pop(0)
        if not part.startswith("{"):
            # Literals are compared as they were sent; the alphabet below encodes none of them.
            if value != part:
                return None
            continue
        name, _, kind = part[1:-1].partition(":")
        if kind == "scoped" and value.startswith("@") and "/" not in value and rest:
            value = f"{value}/{rest.pop(0)}"
        if not value:
            return None
        params[name] = value
    return params if not rest else None


def by_trying(
    endpoints: list[Endpoint], method: str, path: str
) -> tuple[str, dict[str, str]] | set[str] | type[Exception]:
    segments = [urllib.parse.unquote(segment) for segment in path.split("/")[1:]]
    if segments[-1] == "" and len(segments) > 1:
        segments.pop()
    fits = []
    for endpoint in endpoints:
        template = endpoint.template.split("/")[1:]
        params = read(template, segments)
        if params is not None:
            fits.append(([part.startswith("{") for part in template], endpoint, params))
    if not fits:
        return NotFound
    wanted = "GET" if method == "HEAD" else method
    chosen = [fit for fit in fits if fit[1].route.method == wanted]
    if chosen:
        # The earlier a template is literal, the better it fits.
        _, endpoint, params = min(chosen, key=lambda fit: fit[0])
        return endpoint.template, params
    allowed = {fit[1].route.method for fit in fits}
    return allowed | ({"HEAD"} if "GET" in allowed else set())


templates = st.lists(st.sampled_from(["a", "b", "-", "{x}", "{n:scoped}"]), min_size=1, max_size=5).filter(
    # Two parameters in one place would need a rule of their own; no table of ours has that.
    lambda parts: parts.count("{x}") <= 1 and parts.count("{n:scoped}") <= 1
)
paths = st.lists(
    st.sampled_from(["a", "b", "-", "@s", "@s%2Fp", "@s%2fp", "p", "%2e%2e", "..", "%252F", "", "%40s"]),
    min_size=1,
    max_size=6,
)


@given(st.lists(st.tuples(st.sampled_from(["GET", "PUT"]), templates), min_size=1, max_size=12), st.data())
def test_the_tree_finds_what_trying_every_route_finds(lines: list[tuple[str, list[str]]], data: st.DataObject) -> None:
    places = [("/".join("{}" if part[0] == "{" else part for part in parts[: at + 1]), parts[at])
              for _, parts in lines for at in range(len(parts)) if parts[at][0] == "{"]  # fmt: skip
    assume(len({place for place, _ in places}) == len(set(places)))
    assume(len({(method, tuple(parts)) for method, parts in lines}) == len(lines))
    table = a_table(*(f"{method} /{'/'.join(parts)}" for method, parts in lines))
    for _ in range(5):
        method = data.draw(st.sampled_from(["GET", "HEAD", "PUT", "DELETE"]))
        path = "/" + "/".join(data.draw(paths))
        expected = by_trying(table.endpoints, method, path)
        assert expected == found(table, method, path)
        assert expected == found(table, method, path)  # the second answer is remembered
        assert expected == found(table, method, f"{path}?a=/b/../c")


def test_literals_come_first_and_dead_ends_are_left_again() -> None:
    table = a_table("GET /a/{x}/c", "GET /{x}/b/{y}", "PUT /a/b/d", "GET /a/b/e/f")
    assert ("/a/{x}/c", {"x": "b"}) == found(table, "GET", "/a/b/c")
    assert ("/{x}/b/{y}", {"x": "a", "y": "d"}) == found(table, "GET", "/a/b/d")
    assert ("/a/b/d", {}) == found(table, "PUT", "/a/b/d")
    assert {"PUT", "GET", "HEAD"} == found(table, "DELETE", "/a/b/d")
    assert ("/{x}/b/{y}", {"x": "a", "y": "e"}) == found(table, "GET", "/a/b/e")


def test_scoped_parameters_take_one_segment_or_two() -> None:
    table = a_table("GET /npm/{name:scoped}", "GET /npm/{name:scoped}/{version}")
    for path in ("/npm/@s/p", "/npm/@s%2Fp", "/npm/@s%2fp", "/npm/%40s%2fp", "/npm/%40s/p/"):
        assert ("/npm/{name:scoped}", {"name": "@s/p"}) == found(table, "GET", path)
    assert ("/npm/{name:scoped}/{version}", {"name": "@s/p", "version": "1"}) == found(table, "GET", "/npm/@s/p/1")
    assert ("/npm/{name:scoped}/{version}", {"name": "p", "version": "@s"}) == found(table, "GET", "/npm/p/@s")
    assert ("/npm/{name:scoped}", {"name": "@s"}) == found(table, "GET", "/npm/@s/")


def test_a_route_is_mounted_once() -> None:
    with pytest.raises(ValueError, match=r"GET /a/\{x\} is mounted twice"):
        a_table("GET /a/{x}", "GET /a/{x}")


def test_everything_is_decoded_once() -> None:
    table = a_table("GET /{x}")
    for sent, meant in {
        "a%2Fb": "a/b",
        "a%252Fb": "a%2Fb",
        "%25%32%66": "%2f",
        "a+b": "a+b",
        "%2e%2e": "..",
        "%E2%82%AC": "€",
        "100%": "100%",
        "%zz": "%zz",
    }.items():
        assert ("/{x}", {"x": meant}) == found(table, "GET", f"/{sent}"), sent


@pytest.mark.parametrize(
    "segment",
    [
        *["%00", "a%00b", "%0d%0a", "%0A", "%09", "%1f", "%7f", "%ff", "%c0%af", "%e2%82", "%ed%a0%80"],
        "a\udcffb",
        "\udc80%41",
    ],
)
def test_control_characters_and_broken_utf8_are_refused(segment: str) -> None:
    assert Invalid is found(a_table("GET /{x}"), "GET", f"/{segment}")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "*",
        "a",
        "ftp://registry.test/a",
        "http:/a",
        "//a",
        "/a//",
        "/",
        "/%61",
        "/A",
        "/" + "x" * 5000,
        "/a;b",
        "/a%2F",
    ],
)
def test_other_spellings_of_a_literal_are_not_found(path: str) -> None:
    assert NotFound is found(a_table("GET /a"), "GET", path)


def test_the_form_for_proxies_means_the_path_in_it() -> None:
    table = a_table("GET /a/{x}")
    assert ("/a/{x}", {"x": "b/c"}) == found(table, "GET", "http://registry.test:80/a/b%2Fc?d=//e")
    assert NotFound is found(table, "GET", "http://registry.test")


def test_remembered_paths_are_bounded_in_number_and_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "_REMEMBERED", 100)
    table = a_table("GET /{x}")
    for number in range(1000):
        table.find("GET", f"/{number}")
        table.find("GET", f"/{'x' * 1000}{number}")
        with pytest.raises(NotFound):
            table.find("GET", f"/{number}/none")
    assert len(table._found) <= 100
    assert max(len(path) for _, path in table._found) < 1000


def test_the_query_is_not_remembered() -> None:
    table = a_table("GET /{x}")
    table.find("GET", "/a?private_token=glpat-secret")
    assert [("GET", "/a")] == list(table._found)


# --- over the wire --------------------------------------------------------------------------------------------------


@pytest.fixture
async def wire(server: TestServer) -> AsyncIterator[Wire]:
    async with wired(server) as wire:
        yield wire


@pytest.fixture
async def project(people: People) -> Project:
    await accounts.update_settings(
        people.services.db,
        OPERATOR,
        {"pypi_package_requests_forwarding": False, "npm_package_requests_forwarding": False},
    )
    group = await people.group("gr.oup", visibility="public")
    project = await people.project(group, "pro.ject", visibility="public")
    answer = await people.root.upload(project, "demo-1.0-py3-none-any.whl", a_wheel(), name="demo", version="1.0")
    assert 201 == answer.status
    return project


ROOT = {"PRIVATE-TOKEN": ROOT_TOKEN}
PIECES = (
    "..", ".", "../..", "..%2f..", "%2e%2e", "%2e%2e%2f%2e%2e", "..%5c..", "..\\..", "%252e%252e%252f", "..;",
    "%2fetc%2fpasswd", "%5cetc", "c:%5cboot", "%00", "..%00", "a%00b", "%0d%0aX-Injected:%20yes", "%0a", "%7f", "%ff",
    "%c0%ae%c0%ae", "%c0%af", "%ed%a0%80", "%e2%80%ae", "%ef%bc%8e%ef%bc%8e", "~", "~root", "$HOME", "%24(id)", "`id`",
    "%27%20OR%201=1", "%22", "%3Cscript%3E", "%7B%7B7*7%7D%7D", "*", "%3F", "%23", "%25", "%", "%zz", "%2", "null",
    "-1", "0x10", "1e9", "%D9%A1", "+1", "%201", "1%20", "9" * 30, "x" * 300, "-", "--help", "@", "@%2f", "@..%2f..",
    "@a%2f..", "....//",
)  # fmt: skip
SHAPES = ("{}", "{}%2fetc%2fpasswd", "x%2f{}", "x%2f{}%2fy")
CORPUS = tuple(dict.fromkeys(shape.format(piece) for shape, piece in itertools.product(SHAPES, PIECES)))
FINE = frozenset({400, 401, 404, 405})


def test_the_corpus_is_large() -> None:
    assert len(CORPUS) >= 200


def targets(endpoint: Endpoint, project: Project, corpus: Iterator[str], *, times: int) -> Iterator[str]:
    """Paths to an endpoint, each with one parameter taken from the corpus and the others sensible."""
    sensible = {
        "id": str(project.id if "/projects/" in endpoint.template else project.namespace_id),
        "name": "demo",
        "sha256": "0" * 64,
    }
    parts = endpoint.template.split("/")
    for at, part in enumerate(parts):
        # What is the caller's own is so at whatever place.
        if not part.startswith("{") or (part == "{id}" and endpoint.route.placeless):
            continue
        for _ in range(times):
            filled = [sensible.get(p[1:-1].partition(":")[0], "1") if p.startswith("{") else p for p in parts]
            filled[at] = next(corpus)
            yield "/".join(filled)


def strange(answer: Answer) -> bool:
    return answer.status not in FINE or "x-injected" in answer.headers


async def test_no_parameter_of_the_package_routes_leads_anywhere_it_should_not(wire: Wire, project: Project) -> None:
    wrong = []
    for endpoint in app.routes().endpoints:
        reads = endpoint.route.method == "GET" and endpoint.route.ability is Ability.READ_PACKAGE
        if reads and endpoint.format is not None and endpoint.format.package_type == "pypi":
            for target in targets(endpoint, project, itertools.cycle(CORPUS), times=len(CORPUS)):
                answer = await wire.ask("GET", target, ROOT)
                if strange(answer):
                    wrong.append((answer.status, target, answer.headers.get("location")))
    assert [] == wrong


async def test_no_parameter_of_any_route_leads_anywhere_it_should_not(wire: Wire, project: Project) -> None:
    """As root, to whom nothing is hidden. A tenth of the corpus each, another tenth for the next."""
    wrong = []
    corpus = itertools.cycle(CORPUS)
    for endpoint in app.routes().endpoints:
        if endpoint.route.ability is Ability.PUBLIC:
            # Answers whatever it is asked, and looks at nothing.
            continue
        for target in targets(endpoint, project, corpus, times=len(CORPUS) // 10):
            answer = await wire.ask(endpoint.route.method, target, ROOT, b"")
            # npm's teams, and other people's packages, are refused whatever they are called.
            if strange(answer) and not (answer.status == 403 and "/-/" in endpoint.template):
                wrong.append((answer.status, endpoint.route.method, target))
    assert [] == wrong


async def test_ids_are_numbers_or_encoded_paths_with_dots_in_them(wire: Wire, project: Project) -> None:
    for reference in (
        str(project.id),
        "gr.oup%2Fpro.ject",
        "gr.oup%2fpro.ject",
        "GR.OUP%2fPRO.JECT",
        "gr%2eoup%2Fpro.ject",
    ):
        answer = await wire.ask("GET", f"/api/v4/projects/{reference}/packages/pypi/simple/demo")
        assert (200, f"/api/v4/projects/{project.id}/packages/pypi/files/" in answer.body.decode()) == (
            answer.status,
            True,
        )
    for slash in ("/", "%252F", "%2F%2F", "%5C", "%2F%2e%2F"):
        reference = f"gr.oup{slash}pro.ject"
        assert 404 == (await wire.ask("GET", f"/api/v4/projects/{reference}/packages/pypi/simple/demo")).status


async def test_a_trailing_slash_changes_nothing(wire: Wire, project: Project) -> None:
    base = f"/api/v4/projects/{project.id}/packages/pypi"
    for path in (f"{base}/simple", f"{base}/simple/demo", f"/api/v4/projects/{project.id}"):
        without, with_it = await wire.ask("GET", path), await wire.ask("GET", f"{path}/")
        assert (200, without.body) == (with_it.status, with_it.body)
        assert 404 == (await wire.ask("GET", f"{path}//")).status
    for path in (base, f"{base}/"):
        assert 401 == (await wire.ask("POST", path, body=b"")).status


async def test_head_is_get_without_the_body(wire: Wire, project: Project) -> None:
    base = f"/api/v4/projects/{project.id}/packages/pypi"
    page = (await wire.ask("GET", f"{base}/simple/demo")).body.decode()
    file = page.partition('href="')[2].partition("#")[0].partition(":")[2].partition("/api/")[2]
    for target in (
        f"{base}/simple",
        f"{base}/simple/demo",
        f"{base}/simple/none",
        f"/api/{file}",
        f"{base}/files/{'0' * 64}/none",
        "/-/health",
        "/-/readiness",
        "/none",
        f"/api/v4/projects/{project.id}",
    ):
        get = await wire.ask("GET", target)
        head = await wire.ask("HEAD", target)
        again = await wire.ask("GET", target)
        without_date = {name: value for name, value in get.headers.items() if name != "date"}
        assert (get.status, get.reason, without_date, b"") == (
            head.status,
            head.reason,
            {name: value for name, value in head.headers.items() if name != "date"},
            head.body,
        ), target
        assert (get.status, get.body) == (again.status, again.body)


async def test_a_known_path_names_the_methods_it_has(wire: Wire, project: Project) -> None:
    for method, path, allow in (
        ("POST", "/-/health", "GET, HEAD"),
        ("DELETE", f"/api/v4/projects/{project.id}/packages/pypi/simple", "GET, HEAD"),
        ("PATCH", f"/api/v4/projects/{project.id}", "DELETE, GET, HEAD, PUT"),
        ("GET", f"/api/v4/projects/{project.id}/archive", "POST"),
        ("HEAD", f"/api/v4/projects/{project.id}/archive", "POST"),
    ):
        answer = await wire.ask(method, path, ROOT)
        assert (405, allow) == (answer.status, answer.header("Allow")), (method, path)


async def test_what_is_no_route_is_not_found_in_gitlabs_words(wire: Wire) -> None:
    for target in ("/api", "/api/v4/none", "/api/v4/projects/1/none", "/%2e%2e/etc"):
        answer = await wire.ask("GET", target)
        assert (404, b'{"error":"404 Not Found"}') == (answer.status, answer.body), target


async def test_a_proxys_form_of_a_target_is_understood(wire: Wire) -> None:
    """RFC 9112, section 3.2.2: a server accepts the absolute form."""
    answer = await wire.ask("GET", "http://registry.test/-/liveness")
    assert (200, b'{"status":"ok"}') == (answer.status, answer.body)


async def test_a_target_that_is_not_ascii_is_refused(server: TestServer, project: Project) -> None:
    for raw in (b"\xff", b"\xc0\xaf", "€".encode(), b"\x01", b"\x7f", b"\t"):
        for target in (
            b"/api/v4/projects/" + raw + b"/packages/pypi/simple",
            b"/api/v4/projects/%d/packages/pypi/simple/" % project.id + raw,
        ):
            async with wired(server) as wire:
                assert 400 == (await wire.ask("GET", target)).status, target


async def test_what_is_forwarded_stays_one_segment_below_simple(wire: Wire, people: People) -> None:
    project = await people.project(visibility="public")
    for piece in CORPUS:
        answer = await wire.ask("GET", f"/api/v4/projects/{project.id}/packages/pypi/simple/{piece}")
        if answer.status == 302:
            path = urllib.parse.urlsplit(answer.header("Location") or "").path
            assert re.fullmatch(r"/simple/[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*/", path), piece
        else:
            assert not strange(answer), piece
