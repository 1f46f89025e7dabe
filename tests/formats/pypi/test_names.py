from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from registry.errors import Invalid
from registry.formats.pypi import names

ascii_names = st.text("abcXYZ019-_.", min_size=1, max_size=40)


@given(st.text())
def test_normalizing_twice_is_normalizing_once(name: str) -> None:
    once = names.normalize(name)

    assert once == names.normalize(once)


@given(ascii_names)
def test_normalizing_agrees_with_packaging(name: str) -> None:
    assert str(canonicalize_name(name)) == names.normalize(name)


@pytest.mark.parametrize(
    "name", ["demo", "My.Pkg_x", "a", "zc.buildout", "9", "_private", "@scope", "@a@b", "x" * 255, "trailing-", "a..b"]
)
def test_a_name_gitlab_accepts_is_accepted(name: str) -> None:
    names.check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "demo ",
        "demo\n",
        "demo\r\nX-Evil: 1",
        "demo\0",
        ".",
        "..",
        "...",
        "../demo",
        "a/b",
        "@scope/demo",
        "a\\b",
        "..\\demo",
        "%2e%2e",
        "a%2fb",
        "a+b",
        "dem\u00f6",
        "\u212aelvin",
        "thi\u017f",
        "\u0130stanbul",
        "de\u200bmo",
        "\u0661",
        "\ud800",
        "@@a",
        "a@b@c",
        "<script>",
    ],
)
def test_a_hostile_name_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match=r"^Validation failed: Name is invalid$"):
        names.check_name(name)


def test_a_long_name_is_refused_by_its_length() -> None:
    with pytest.raises(Invalid, match=r"^Validation failed: Name is too long \(maximum is 255 characters\)$"):
        names.check_name("x" * 5000)


@pytest.mark.parametrize(
    "version",
    [
        "1",
        "1.0",
        "v1.0",
        "V1.0",
        "1!2.0",
        "2024.1.post1",
        "1.0-1",
        "1.0a1",
        "1.0.ALPHA-1",
        "1.0rc1.dev3",
        "1.0.dev0",
        "1.0+cu118",
        "1.0+Ubuntu-1_2.3",
        "1!1.0a1.post2.dev3+local.4",
        "0" * 255,
    ],
)
def test_a_pep_440_version_is_accepted(version: str) -> None:
    names.check_version(version)


@pytest.mark.parametrize(
    "version",
    [
        "",
        " 1.0",
        "1.0 ",
        "1.0\n",
        "1.0\r\nX-Evil: 1",
        "1.0\0",
        "latest",
        "2004d",
        "1.0+",
        "1.0+a..b",
        "1..0",
        "../1.0",
        "1.0/2",
        "1.\u0661",
        "1.0po\u017ft1",
        "1.0+\u212a",
        "1!",
        "vv1",
        "-1",
        "1.x",
    ],
)
def test_what_is_no_pep_440_version_is_refused(version: str) -> None:
    with pytest.raises(Invalid, match=r"^Validation failed: Version is invalid$"):
        names.check_version(version)


def test_a_long_version_is_refused_by_its_length() -> None:
    with pytest.raises(Invalid, match=r"^Validation failed: Version is too long \(maximum is 255 characters\)$"):
        names.check_version("9" * 5000)


@given(st.text("0123456789.!+-_abcdeoprstv \n\u0661\u017f", max_size=30))
def test_a_version_that_is_accepted_can_be_compared(version: str) -> None:
    try:
        names.check_version(version)
    except Invalid:
        return

    assert names.same_version(version, str(Version(version)))


@pytest.mark.parametrize(
    "file_name",
    [
        "demo-1.0-py3-none-any.whl",
        "jaraco.classes-3.4.0-py3-none-any.whl",
        "demo-1!2.0+cu118-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "demo-1.0.tar.gz",
        "pyreadline-2.1.zip",
        "setup.exe",
        "demo-1.0-variants.json",
        "demo",
        "a copy (1).zip",
        "x" * 255,
    ],
)
def test_a_file_name_of_any_extension_is_accepted(file_name: str) -> None:
    names.check_file_name(file_name)


@pytest.mark.parametrize(
    "file_name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "../demo-1.0.tar.gz",
        "/etc/passwd",
        "a/b.whl",
        "a\\b.whl",
        "..%2fdemo.whl",
        "%2e%2e",
        "demo-1.0.tar.gz\n",
        "demo\r\nSet-Cookie: a=b.whl",
        "demo\0.whl",
        "demo\x7f.whl",
        "demo\x85.whl",
        'demo"; filename=x.whl',
        "demo?.whl",
        "demo#.whl",
        "demo:stream.whl",
        "demo\t.whl",
        " demo.whl",
        "demo.whl ",
        "dem\u00f6.whl",
        "demo\uff0f1.0.whl",
        "demo\u2215.whl",
        "\u202edemo.whl",
        "\u212aelvin-1.0.tar.gz",
        "thi\u017f-1.0.tar.gz",
        "\ud800.whl",
        "demo-1.0-py3-none-any.whl.metadata",
    ],
)
def test_a_hostile_file_name_is_refused(file_name: str) -> None:
    with pytest.raises(Invalid, match=r"^Validation failed: File name is invalid \("):
        names.check_file_name(file_name)


def test_a_long_file_name_is_refused_by_its_length() -> None:
    with pytest.raises(Invalid, match=r"^Validation failed: File name is too long \(maximum is 255 characters\)$"):
        names.check_file_name("x" * 5000)


@pytest.mark.parametrize(
    "text", ["a" * 10**6, "@" * 10**6, "1." * 500_000, "-" * 10**6, "1.0+" + "a." * 10**5, " " * 10**6]
)
def test_a_megabyte_is_judged_at_once(text: str) -> None:
    started = time.perf_counter()

    for check in (names.check_name, names.check_version, names.check_file_name):
        with pytest.raises(Invalid):
            check(text)
    names.normalize(text)

    assert time.perf_counter() - started < 0.5


@given(st.text(max_size=300), st.text(max_size=300))
def test_comparing_versions_never_fails(one: str, other: str) -> None:
    same = names.same_version(one, other)

    try:
        assert same == (Version(one) == Version(other))
    except InvalidVersion:
        assert same is False


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("1.0", "1.0.0", True), ("v1.0", "1", True), ("1.0-1", "1.0.post1", True), ("1.0", "1.0+local", False)],
)
def test_versions_are_compared_after_normalisation(one: str, other: str, same: bool) -> None:  # noqa: FBT001
    assert same is names.same_version(one, other)


@pytest.mark.parametrize(
    ("file_name", "kind"),
    [
        ("demo-1.0-py3-none-any.whl", "wheel"),
        ("DEMO-1.0-py3-none-any.WHL", "wheel"),
        ("demo-1.0.tar.gz", "sdist"),
        ("demo-1.0.tgz", "sdist"),
        ("demo-1.0.zip", "sdist"),
        ("demo-1.0.tar", "sdist"),
        ("demo-1.0.tar.bz2", "sdist"),
        ("demo-1.0.tar.xz", "sdist"),
        ("demo-1.0-py3.11.egg", "other"),
        ("demo-1.0.exe", "other"),
        ("demo-1.0-variants.json", "other"),
        ("whl", "other"),
    ],
)
def test_the_extension_tells_the_kind(file_name: str, kind: str) -> None:
    assert kind == names.kind_of(file_name)


@pytest.mark.parametrize(
    ("file_name", "name", "version"),
    [
        ("demo-1.0-py3-none-any.whl", "demo", "1.0"),
        ("My.Demo_x-1!2.0+l.1-1build-cp311-abi3-linux_x86_64.whl", "My.Demo_x", "1!2.0+l.1"),
        ("demo-1.0_1-py3-none-any.whl", "demo", "1.0-1"),
        ("demo-1.0-py3-none-any-variant.whl", "demo", "1.0"),
    ],
)
def test_a_wheel_is_named_after_its_project_and_version(file_name: str, name: str, version: str) -> None:
    assert (name, version) == names.split_wheel(file_name)


@pytest.mark.parametrize(
    "file_name", ["demo.whl", "package.whl", "demo-1.0.whl", "demo-1.0-py3-any.whl", "-1-2-3-4.whl"]
)
def test_what_is_not_named_like_a_wheel_is_refused(file_name: str) -> None:
    with pytest.raises(Invalid, match="is not named like a wheel"):
        names.split_wheel(file_name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("demo-1.0", False),
        ("my-demo-1.0", True),
        ("My.Demo-1.0.0", True),
        ("my_demo-v1", True),
        ("my_demo", False),
        ("my_demo-2.0", False),
        ("my-demo-1.0-", False),
        ("-" * 5000, False),
    ],
)
def test_a_pair_is_recognised_in_any_spelling(text: str, expected: bool) -> None:  # noqa: FBT001
    assert expected is names.is_pair(text, "my-demo", "1.0")
