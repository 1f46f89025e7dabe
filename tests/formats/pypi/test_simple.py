from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urlsplit

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from registry import resource
from registry.blocks import identity
from registry.formats.pypi import simple
from registry.formats.pypi.simple import SimpleFile, SimpleProject
from registry.sections import Sections

BASE = "https://registry.example/api/v4/projects/42/packages/pypi"
SHA, CORE = "1a" * 32, "2b" * 32
MOMENT = datetime(2026, 11, 22, 1, 2, 3, 45, tzinfo=UTC)

ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(resource("templates")), autoescape=True, undefined=jinja2.StrictUndefined
)

Anchor = tuple[list[tuple[str, str | None]], str]


def a_file(file_name: str = "demo-1.0.tar.gz", **changes: object) -> SimpleFile:
    values: dict[str, object] = {
        "filename": file_name,
        "url": simple.file_url(BASE, SHA, file_name),
        "sha256": SHA,
        "size": 12,
        "upload_time": MOMENT,
    }
    return SimpleFile(**(values | changes))  # type: ignore[arg-type]


def page(listed: Sequence[SimpleFile], versions: Sequence[str], **options: str) -> Any:
    entries = {number: simple.entry(one, "Demo", "1.0") for number, one in enumerate(listed)}
    sections = Sections[simple.Entry]().renewed([(number, 1) for number in entries], entries)
    body = simple.project_json("demo", sections, versions, **options)
    return json.loads(body if isinstance(body, bytes) else identity(body))


def rendered(title: str, anchors: Markup) -> str:
    return ENVIRONMENT.get_template(simple.TEMPLATE).render(simple.page_context(title, anchors))


class Page(HTMLParser):
    """What a client's parser sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.meta: list[dict[str, str | None]] = []
        self.title = ""
        self.heading = ""
        self.anchors: list[Anchor] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "meta":
            self.meta.append(dict(attributes))
        elif tag != "br":
            self._open.append(tag)
        if tag == "a":
            self.anchors.append((attributes, ""))

    def handle_endtag(self, tag: str) -> None:
        assert tag == self._open.pop()

    def handle_data(self, text: str) -> None:
        match self._open[-1:]:
            case ["a"]:
                attributes, before = self.anchors[-1]
                self.anchors[-1] = (attributes, before + text)
            case ["title"]:
                self.title += text
            case ["h1"]:
                self.heading += text
            case _:
                assert not text.strip()


def expected_anchor(file: SimpleFile) -> Anchor:
    attributes: list[tuple[str, str | None]] = [
        ("href", f"{file.url}#sha256={file.sha256}"),
        ("data-requires-python", file.requires_python),
    ]
    if file.yanked:
        attributes.append(("data-yanked", file.yanked_reason or ""))
    if file.core_metadata_sha256:
        attributes.append(("data-core-metadata", f"sha256={file.core_metadata_sha256}"))
        attributes.append(("data-dist-info-metadata", f"sha256={file.core_metadata_sha256}"))
    if file.provenance_url:
        attributes.append(("data-provenance", file.provenance_url))
    return attributes, file.filename


def test_the_project_page_is_gitlabs() -> None:
    page = rendered(
        "My.Demo",
        simple.file_anchors(
            [
                a_file("demo-1.0.tar.gz"),
                a_file("demo-1.0-py3-none-any.whl", requires_python=">=3.6", yanked=True, core_metadata_sha256=CORE),
            ]
        ),
    )

    assert page == (
        "<!DOCTYPE html>\n"
        "<html>\n"
        "  <head>\n"
        '    <meta name="pypi:repository-version" content="1.4">\n'
        "    <title>Links for My.Demo</title>\n"
        "  </head>\n"
        "  <body>\n"
        "    <h1>Links for My.Demo</h1>\n"
        f'<a href="{BASE}/files/{SHA}/demo-1.0.tar.gz#sha256={SHA}" data-requires-python="">demo-1.0.tar.gz</a><br>\n'
        f'<a href="{BASE}/files/{SHA}/demo-1.0-py3-none-any.whl#sha256={SHA}" data-requires-python="&gt;=3.6"'
        f' data-yanked="" data-core-metadata="sha256={CORE}" data-dist-info-metadata="sha256={CORE}">'
        "demo-1.0-py3-none-any.whl</a><br>\n"
        "  </body>\n"
        "</html>"
    )


def test_the_index_is_gitlabs() -> None:
    anchors = simple.project_anchors(
        BASE, [SimpleProject("My.Demo", "my-demo", ">=3.9"), SimpleProject("other", "other")]
    )

    assert str(anchors) == (
        f'<a href="{BASE}/simple/my-demo" data-requires-python="&gt;=3.9">My.Demo</a><br>\n'
        f'<a href="{BASE}/simple/other" data-requires-python="">other</a><br>'
    )


def test_an_empty_page_is_a_page() -> None:
    page = Page(rendered("Nothing", simple.file_anchors([])))

    assert (page.title, page.anchors) == ("Links for Nothing", [])


hostile = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40) | st.sampled_from(
    [
        '"',
        "'>",
        '"><script>alert(1)</script>',
        "&lt;",
        "&amp;quot;",
        "</a>",
        "<!--",
        "]]>",
        ">=3.6,<4",
        "{{ 7*7 }}",
        "&#0;",
    ]
)
hexadecimal = st.text("0123456789abcdef", min_size=64, max_size=64)
files = st.builds(
    lambda file_name, sha256, **values: SimpleFile(
        filename=file_name, url=simple.file_url(BASE, sha256, file_name), sha256=sha256, **values
    ),
    hostile,
    hexadecimal,
    size=st.integers(0, 2**40),
    upload_time=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])),
    requires_python=hostile,
    yanked=st.booleans(),
    yanked_reason=st.none() | hostile,
    core_metadata_sha256=st.none() | hexadecimal,
    provenance_url=st.none() | hostile.map(lambda name: simple.provenance_url(BASE, "demo", "1!0", name, SHA)),
)


@given(hostile, st.lists(files, max_size=4))
def test_html_parses_back_to_what_it_was_made_of(title: str, listed: Sequence[SimpleFile]) -> None:
    page = Page(rendered(title, simple.file_anchors(listed)))

    assert page.title == f"Links for {title}"
    assert page.heading == f"Links for {title}"
    assert page.meta == [{"name": "pypi:repository-version", "content": "1.4"}]
    assert page.anchors == [expected_anchor(file) for file in listed]
    assert page.tags == ["html", "head", "meta", "title", "body", "h1"] + ["a", "br"] * len(listed)


@given(st.lists(st.builds(SimpleProject, hostile, hostile, hostile), max_size=4))
def test_the_index_parses_back_to_what_it_was_made_of(projects: Sequence[SimpleProject]) -> None:
    page = Page(rendered("all", simple.project_anchors(BASE, projects)))

    assert page.anchors == [
        (
            [
                ("href", simple.project_url(BASE, project.normalized_name)),
                ("data-requires-python", project.requires_python),
            ],
            project.name,
        )
        for project in projects
    ]


@given(st.lists(files, max_size=4), st.lists(st.sampled_from(["1.0", "2.0", "3"]), max_size=5))
def test_json_says_the_same_as_html(listed: Sequence[SimpleFile], versions: Sequence[str]) -> None:
    document = page(listed, versions)

    assert list(document) == ["meta", "name", "project-status", "versions", "files"]
    assert document["meta"] == {"api-version": "1.4"}
    assert document["name"] == "demo"
    assert sorted(document["versions"]) == sorted(set(versions))
    for shown, file in zip(document["files"], listed, strict=True):
        moment = shown.pop("upload-time")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", moment)
        assert datetime.fromisoformat(moment) == file.upload_time
        assert shown == {
            "filename": file.filename,
            "url": file.url,
            "hashes": {"sha256": file.sha256},
            "size": file.size,
            "yanked": (file.yanked_reason or True) if file.yanked else False,
        } | ({"requires-python": file.requires_python} if file.requires_python else {}) | (
            {"core-metadata": {"sha256": file.core_metadata_sha256}} if file.core_metadata_sha256 else {}
        ) | ({"provenance": file.provenance_url} if file.provenance_url else {})


def test_the_json_index_names_the_projects() -> None:
    document = simple.index_json([SimpleProject("My.Demo", "my-demo"), SimpleProject("other", "other")])

    assert json.loads(document) == {
        "meta": {"api-version": "1.4"},
        "projects": [{"name": "My.Demo"}, {"name": "other"}],
    }


def test_a_later_version_of_the_api_is_one_argument() -> None:
    assert page([], [], api_version="1.4")["meta"] == {"api-version": "1.4"}
    assert json.loads(simple.index_json([], api_version="1.4"))["meta"] == {"api-version": "1.4"}
    assert simple.page_context("demo", Markup(""), api_version="1.4")["repository_version"] == "1.4"


@pytest.mark.parametrize(
    ("file_name", "last"),
    [
        ("demo-1.0-py3-none-any.whl", "demo-1.0-py3-none-any.whl"),
        ("demo-1!2.0+cu118.tar.gz", "demo-1%212.0%2Bcu118.tar.gz"),
        ("a copy (1).zip", "a%20copy%20%281%29.zip"),
    ],
)
def test_a_file_url_means_the_same_to_every_client(file_name: str, last: str) -> None:
    assert f"{BASE}/files/{SHA}/{last}" == simple.file_url(BASE, SHA, file_name)


@given(hostile)
def test_the_last_part_of_a_file_url_is_the_file_name(file_name: str) -> None:
    url = urlsplit(simple.file_url(BASE, SHA, file_name))

    assert (file_name, "", "") == (unquote(url.path.rpartition("/")[2]), url.query, url.fragment)
