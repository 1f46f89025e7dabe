from __future__ import annotations

import pytest

from registry.errors import Invalid
from registry.formats.npm import names
from registry.formats.npm.names import Name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("left-pad", Name("left-pad", None, "left-pad")),
        ("@acme/widget", Name("@acme/widget", "acme", "widget")),
        ("JSONStream", Name("JSONStream", None, "JSONStream")),
        ("_legacy", Name("_legacy", None, "_legacy")),
        ("wat(!)~", Name("wat(!)~", None, "wat(!)~")),
        ("x" * 214, Name("x" * 214, None, "x" * 214)),
    ],
)
def test_a_look_up_accepts_every_name_that_was_ever_given(text: str, expected: Name) -> None:
    assert expected == names.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "@acme",
        "@/x",
        "@acme/",
        "@acme/..",
        "@../x",
        "a/b",
        "@a/b/c",
        "a b",
        "a\0b",
        "a%2fb",
        "é",
        "x" * 215,
    ],
)
def test_a_look_up_refuses_what_is_no_name(text: str) -> None:
    with pytest.raises(Invalid, match="is not an npm package name"):
        names.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "left-pad",
        "JSONStream",
        "JSONStream-x",
        "@s/_x",
        "@con/x",
        "-x",
        "@acme/widget",
        "con",
        "nul",
        "a.b_c-d",
        "x" * 214,
    ],
)
def test_a_name_that_gitlab_accepts_can_be_published(text: str) -> None:
    assert text == names.parse_new(text).text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "_x",
        ".x",
        "-",
        "@s/-",
        "@s/.x",
        "@x",
        "x@y",
        "a b",
        " a",
        "a~b",
        "a!b",
        "a'b",
        "(a)",
        "a*",
        "node_modules",
        "NODE_MODULES",
        "favicon.ico",
        "@scope.git/x",
        "@-s/x",
        "../x",
        "@../x",
        "@s/../x",
        "a/b",
        "a\nb",
        "a\n",
        "a\0",
        "\u0430dmin",  # a Cyrillic letter
        "x" * 215,
        f"@acme/{'x' * 209}",
    ],
)
def test_a_name_that_no_client_could_install_cannot_be_published(text: str) -> None:
    with pytest.raises(Invalid, match="Validation failed: Name should be a valid NPM package name"):
        names.parse_new(text)


def test_a_tarball_has_a_canonical_name_and_gitlabs() -> None:
    name = names.parse("@acme/widget")

    assert "widget-1.0.0.tgz" == name.file_name("1.0.0", canonical=True)
    assert "@acme/widget-1.0.0.tgz" == name.file_name("1.0.0", canonical=False)


@pytest.mark.parametrize(
    ("file_name", "version"),
    [
        ("widget-1.0.0.tgz", "1.0.0"),
        ("@acme/widget-1.0.0.tgz", "1.0.0"),
        ("widget-2.0.0-rc.1+build.5.tgz", "2.0.0-rc.1+build.5"),
        ("widget-1.0.tgz", None),
        ("widget-1.0.0.zip", None),
        ("other-1.0.0.tgz", None),
        ("@other/widget-1.0.0.tgz", None),
        ("widget-../1.0.0.tgz", None),
        ("widget.tgz", None),
    ],
)
def test_a_file_name_in_either_form_stands_for_a_version(file_name: str, version: str | None) -> None:
    assert version == names.parse("@acme/widget").version_of(file_name)


@pytest.mark.parametrize(
    ("path", "name", "rest"),
    [
        ("widget", "widget", ""),
        ("@acme/widget", "@acme/widget", ""),
        ("widget/latest", "widget", "latest"),
        ("@acme/widget/1.0.0", "@acme/widget", "1.0.0"),
        ("@acme/widget/-/@acme/widget-1.0.0.tgz", "@acme/widget", "-/@acme/widget-1.0.0.tgz"),
        ("widget/-/widget-1.0.0.tgz/-rev/3", "widget", "-/widget-1.0.0.tgz/-rev/3"),
    ],
)
def test_a_path_starts_with_a_name(path: str, name: str, rest: str) -> None:
    assert (names.parse(name), rest) == names.split(path)


@pytest.mark.parametrize("path", ["", "/widget", "@acme", "@acme//x", "../widget"])
def test_a_path_without_a_name_is_refused(path: str) -> None:
    with pytest.raises(Invalid):
        names.split(path)
