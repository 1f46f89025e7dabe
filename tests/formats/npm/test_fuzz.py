"""npm's parsers against anything at all, and semantic versions against node-semver."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.access import AccessLevel
from registry.errors import Invalid
from registry.formats.npm import names, publication, semver, tags, tarball
from registry.formats.npm.splitter import Splitter
from registry.formats.npm.tarball import FIELDS
from registry.model import Project
from tests.clients import toolbox
from tests.formats.npm.documents import a_document, a_tarball
from tests.formats.npm.transcripts import path, publish
from tests.people import People

# Machines that do a lot at once are slow to make examples.
fuzz = settings(deadline=None, suppress_health_check=list(HealthCheck))
anything = st.text(max_size=40) | st.text("@/._-~!'()*+%a0 \\\0é", max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | anything,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=6,
)

# --- tarballs -------------------------------------------------------------------------------------------------------


@fuzz
@given(fields=st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=5))
def test_a_package_json_of_any_shape_is_inspected_or_refused(fields: dict[str, object]) -> None:
    files = {"bin/run": b"", "index.js": b"1"}
    with suppress(Invalid):
        found = tarball.inspect(io.BytesIO(a_tarball(fields, files)))
        assert (len(files) + 1, fields) == (found["file_count"], found["package_json"])


@fuzz
@given(at=st.integers(0), bits=st.binary(min_size=1, max_size=4), cut=st.integers(0, 40))
def test_a_damaged_tarball_is_inspected_or_refused(at: int, bits: bytes, cut: int) -> None:
    whole = bytearray(a_tarball(files={"a.js": b"a" * 700}))
    at %= len(whole)
    whole[at : at + len(bits)] = bits
    with suppress(Invalid):
        tarball.inspect(io.BytesIO(bytes(whole[: len(whole) - cut])))


# --- documents, names, tags -----------------------------------------------------------------------------------------


@fuzz
@given(
    place=st.lists(st.sampled_from(("versions", "dist-tags", "_attachments", "1.0.0", "dist", "name")), max_size=3),
    value=json_values,
    deprecating=st.booleans(),
)
def test_a_document_of_any_shape_is_read_or_refused(place: list[str], value: object, *, deprecating: bool) -> None:
    document: Any = a_document(b"a tarball")
    inner = document
    for key in place[:-1]:
        inner = inner[key] if isinstance(inner.get(key), dict) else inner
    if place:
        inner[place[-1]] = value
    splitter = Splitter()
    with suppress(Invalid):
        splitter.feed(json.dumps(document).encode())
        found = publication.parse(splitter.finish(), "@acme/widget", deprecating=deprecating)
        assert "@acme/widget" == (found.name.text if isinstance(found, publication.Publication) else found.name)


@fuzz
@given(anything)
def test_any_text_is_a_name_or_refused_and_a_name_is_kept_as_it_is(text: str) -> None:
    with suppress(Invalid):
        asked = names.parse(text)
        assert text == asked.text == (f"@{asked.scope}/{asked.bare}" if asked.scope else asked.bare)
        assert (asked, "rest/of/it") == names.split(f"{text}/rest/of/it")
    with suppress(Invalid):
        # What can be published can be asked for.
        assert names.parse_new(text) == names.parse(text)


@fuzz
@given(anything, anything)
def test_any_file_name_is_a_version_of_its_name_or_none(text: str, rest: str) -> None:
    with suppress(Invalid):
        version = names.parse(text).version_of(f"{text}{rest}.tgz")
        assert version is None or f"-{version}" == rest


@fuzz
@given(anything)
def test_a_tag_is_never_a_version_or_a_range(text: str) -> None:
    with suppress(Invalid):
        assert not semver.is_comparator(tags.check_name(text))


# --- bodies of account commands -------------------------------------------------------------------------------------

_OFF: tuple[Any, ...] = (
    None, True, -1, 1.5, 10**30, "", "\0", "x" * 300, [], [None], ["\0"], [[]], {}, {"a": None},
)  # fmt: skip
_TREE = {"dependencies": {"gadget": {"version": "1.0.0", "dependencies": {}}}}
_ACCOUNT_BODIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("POST", "-/npm/v1/tokens", dict.fromkeys((
        "name", "description", "expires", "cidr_whitelist", "packages", "packages_all", "scopes", "orgs", "readonly",
        "orgs_permission", "packages_and_scopes_permission", "password",
    ))),
    ("PUT", "-/user/org.couchdb.user:ada", {"name": "ada", "password": "secret"}),
    ("POST", "-/npm/v1/user", {"tfa": None}),
    ("POST", "-/package/gadget/access", dict.fromkeys(("access", "publish_requires_tfa"))),
    ("PUT", "gadget/-rev/1", {"_rev": "1", "maintainers": [{"name": "ada"}]}),
    ("PUT", "gadget", {"_rev": "1", "users": {"ada": True}}),
    ("PUT", "-/team/acme/developers/package", {"package": "gadget"}),
    ("POST", "-/v1/login", {"hostname": "here"}),
    ("POST", "-/npm/v1/security/advisories/bulk", {"gadget": ["1.0.0"]}),
    ("POST", "-/npm/v1/security/audits", _TREE),
    ("POST", "-/npm/v1/security/audits", _TREE["dependencies"]),
)  # fmt: skip


@pytest.mark.parametrize(("method", "rest", "document"), _ACCOUNT_BODIES)
async def test_no_type_of_a_member_of_a_body_is_too_much(
    people: People, project: Project, method: str, rest: str, document: dict[str, Any]
) -> None:
    person = await people.member(project, AccessLevel.OWNER)
    await publish(person, project, "gadget", "1.0.0")
    good = {key: value for key, value in document.items() if value is not None}

    for key in document:
        for value in _OFF:
            answer = await person.ask(method, path(project, rest), json={**good, key: value})
            assert 500 > answer.status, (key, value)


# --- against node-semver --------------------------------------------------------------------------------------------

_ANSWER = """
const semver = require(process.argv[1]);
require('readline').createInterface({input: process.stdin}).on('line', line => {
  const [call, ...texts] = JSON.parse(line);
  console.log(JSON.stringify(semver[call](...texts)));
});
"""


class Node:
    """node-semver in a process of its own: one call a line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, call: str, *texts: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([call, *texts]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    npm = toolbox.find("npm-12")
    package = toolbox.NODE_MODULES / "npm12" / "node_modules" / "semver"
    command = [npm.command[0], "-e", _ANSWER, str(package)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Node(process)
        process.communicate()


numbers = st.integers(0, 12).map(str) | st.sampled_from(("00", "01", "9007199254740991", "9007199254740992", ""))
parts = st.integers(0, 12).map(str) | st.sampled_from(("a", "A", "-", "1a", "beta", "01", "", "é", "-1"))
dotted = st.lists(parts, min_size=1, max_size=3).map(".".join)
version_texts = st.builds(
    lambda core, pre, build: ".".join(core) + pre + build,
    st.lists(numbers, min_size=3, max_size=3) | st.lists(numbers, min_size=1, max_size=4),
    st.just("") | dotted.map("-{}".format),
    st.just("") | dotted.map("+{}".format),
)
sound_parts = st.integers(0, 12).map(str) | st.sampled_from(("a", "A", "-", "1a", "beta", "-1"))
sound_versions = st.builds(
    lambda core, pre: ".".join(map(str, core)) + "".join("-" + ".".join(pre) for _ in pre[:1]),
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 11)),
    st.lists(sound_parts, max_size=3),
)


@fuzz
@given(text=version_texts | st.text("0123.-+abv=x \n", max_size=12))
def test_what_is_a_version_node_says_too(node: Node, text: str) -> None:
    # It also takes what surrounds a version off, which has no place in a stored one.
    surrounded = text != text.strip() or text.startswith("v")
    assert semver.is_valid(text) == (node("valid", text) is not None and not surrounded)


@fuzz
@given(one=sound_versions, other=sound_versions)
def test_versions_are_ordered_as_node_orders_them(node: Node, one: str, other: str) -> None:
    mine, theirs = semver.parse(one).precedence, semver.parse(other).precedence
    assert (mine > theirs) - (mine < theirs) == node("compare", one, other)


@fuzz
@given(text=version_texts, before=st.sampled_from(("", "v", "=", " ", "=v", " =")), after=st.sampled_from(("", " ")))
def test_a_version_is_cleaned_as_node_cleans_it(node: Node, text: str, before: str, after: str) -> None:
    assert semver.clean(before + text + after) == node("clean", before + text + after)
