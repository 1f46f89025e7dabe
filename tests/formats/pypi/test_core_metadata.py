from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import Invalid
from registry.formats.pypi import core_metadata
from registry.formats.pypi.core_metadata import CoreMetadata
from tests.formats.pypi.distributions import core_metadata as a_text


@pytest.mark.parametrize(
    "version", ["1.0", "1.1", "1.2", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.9", "3.0", ""]
)
def test_every_metadata_version_is_read(version: str) -> None:
    parsed = core_metadata.parse(a_text(metadata_version=version), "METADATA")

    assert (version, "demo", "1.0") == (parsed.metadata_version, parsed.name, parsed.version)


def test_what_decides_is_read() -> None:
    text = a_text(
        "My.Demo",
        "1.0",
        "Requires-Python: >=3.9",
        "Dynamic: License",
        "Dynamic: Requires-Dist",
        "License-File: LICENSE",
        "Of-The-Future: yes",
        metadata_version="2.4",
        body="Name: of the body\n\nVersion: 9",
    )

    assert core_metadata.parse(text, "METADATA") == CoreMetadata(
        metadata_version="2.4",
        name="My.Demo",
        version="1.0",
        requires_python=">=3.9",
        dynamic=("license", "requires-dist"),
        license_files=("LICENSE",),
        problems=(),
    )


def test_text_that_is_not_utf_8_is_read() -> None:
    text = a_text().replace(b"\n\n", b"\nAuthor: Andr\xe9\nSummary: \xff\xfe\n\n")

    parsed = core_metadata.parse(text, "PKG-INFO")

    assert (parsed.name, parsed.version) == ("demo", "1.0")


def test_windows_line_ends_are_read() -> None:
    parsed = core_metadata.parse(a_text().replace(b"\n", b"\r\n"), "PKG-INFO")

    assert (parsed.metadata_version, parsed.name, parsed.version) == ("2.1", "demo", "1.0")


def test_a_body_that_pretends_to_be_an_e_mail_is_left_alone() -> None:
    text = a_text("demo", "1.0", "Content-Type: multipart/mixed; boundary=b", body="--b\n\nName: evil\n--b\n" * 50)

    assert core_metadata.parse(text, "METADATA").name == "demo"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "METADATA needs one Name"),
        (b"\n\nName: demo\nVersion: 1.0\n", "METADATA needs one Name"),
        (b"\x00\x01\x02", "METADATA needs one Name"),
        (b"Version: 1.0\n", "METADATA needs one Name"),
        (b"Name:\nVersion: 1.0\n", "METADATA needs one Name"),
        (b"Name: demo\n", "METADATA needs one Version"),
        (b"Name: demo\nname: other\nVersion: 1.0\n", "METADATA needs one Name"),
        (b"Name: demo\nVersion: 1.0\nVersion: 2.0\n", "METADATA needs one Version"),
        (b"Name: d\xffmo\nVersion: 1.0\n", "METADATA needs one Name"),
        (b"Name: " + b"x" * 5000 + b"\nVersion: 1.0\n", "The Name in METADATA is too long (maximum is 255 characters)"),
        (b"Name: x\nVersion: " + b"1" * 5000, "The Version in METADATA is too long (maximum is 255 characters)"),
        (b"Name: x\nVersion: 1\nRequires-Python: >=3\0", "The Requires-Python in METADATA has a NUL"),
    ],
)
def test_one_name_and_one_version_are_needed(content: bytes, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        core_metadata.parse(content, "METADATA")

    assert text == refused.value.text


@pytest.mark.parametrize(
    ("metadata_version", "dynamic", "static"),
    [
        ("1.2", [], False),
        ("2.1", [], False),
        ("2.2", [], True),
        ("2.10", [], True),
        ("2.9", [], True),
        ("3.0", [], False),
        ("two", [], False),
        ("2.2", ["Summary", "License-File"], True),
        ("2.2", ["Requires-Dist"], False),
        ("2.2", ["requires-python"], False),
        ("2.6", ["Provides-Extra"], False),
    ],
)
def test_only_metadata_that_no_build_changes_is_static(
    metadata_version: str,
    dynamic: list[str],
    static: bool,  # noqa: FBT001
) -> None:
    text = a_text("demo", "1.0", *(f"Dynamic: {field}" for field in dynamic), metadata_version=metadata_version)

    assert static is core_metadata.parse(text, "PKG-INFO").is_static


@pytest.mark.parametrize(
    ("lines", "metadata_version", "problem"),
    [
        ([], "2.6", "Metadata-Version is '2.6', not one of 1.0, 1.1, 1.2, 2.1, 2.2, 2.3, 2.4, 2.5"),
        ([], "", "Metadata-Version is '', not one of 1.0, 1.1, 1.2, 2.1, 2.2, 2.3, 2.4, 2.5"),
        (["Summary: " + "x" * 513], "2.1", "Summary is longer than 512 characters"),
        (
            ["Requires-Dist: other @ https://example.org/other.whl"],
            "2.1",
            "Requires-Dist 'other @ https://example.org/other.whl' points to a URL, not to a project of an index",
        ),
        (
            [f"Project-URL: {'l' * 33}, https://example.org"],
            "2.1",
            f"The label of Project-URL '{'l' * 33}' is longer than 32 characters",
        ),
        (["Project-URL: Home, javascript:0"], "2.1", "Project-URL 'javascript:0' is not an http or https URL"),
        (["Home-page: ftp://example.org"], "2.1", "Home-page 'ftp://example.org' is not an http or https URL"),
        (["Download-URL: x"], "1.1", "Download-URL 'x' is not an http or https URL"),
        (["License: MIT", "License-Expression: MIT"], "2.4", "License and License-Expression exclude each other"),
        (["Requires-Python: later"], "2.1", "'later' is invalid for 'requires-python'"),
        (["Requires-Dist: ???"], "2.1", "'???' is invalid for 'requires-dist'"),
        (["Provides-Extra: a"], "1.2", "provides-extra introduced in metadata version 2.1, not 1.2"),
        (["Dynamic: Name"], "2.2", "'name' is not allowed as a dynamic field"),
    ],
)
def test_what_the_public_index_would_not_take_is_a_problem(
    lines: list[str], metadata_version: str, problem: str
) -> None:
    parsed = core_metadata.parse(a_text("demo", "1.0", *lines, metadata_version=metadata_version), "METADATA")

    assert (problem,) == parsed.problems


@pytest.mark.parametrize(
    ("lines", "metadata_version"),
    [
        (["Home-page: UNKNOWN", "Download-URL: UNKNOWN", "Summary: UNKNOWN"], "2.1"),
        (["License-File: LICENSE"], "2.1"),
        (["License-File: LICENSE", "License-Expression: MIT", "Import-Name: demo"], "2.5"),
        (
            ["Project-URL: Home, https://example.org", "Requires-Dist: other>=1; extra == 'x'", "Provides-Extra: x"],
            "2.1",
        ),
        (["Platform: any", "Requires: other", "Classifier: Invented"], "1.1"),
    ],
)
def test_what_the_public_index_takes_is_no_problem(lines: list[str], metadata_version: str) -> None:
    parsed = core_metadata.parse(a_text("demo", "1.0", *lines, metadata_version=metadata_version), "METADATA")

    assert parsed.problems == ()


def test_problems_are_bounded() -> None:
    lines = [f"Requires-Dist: x{number} @ https://example.org/{'y' * 5000}" for number in range(500)]

    problems = core_metadata.parse(a_text("demo", "1.0", *lines), "METADATA").problems

    assert len(problems) == 10
    assert max(map(len, problems)) < 400


header = st.tuples(
    st.sampled_from(
        [
            "Name",
            "Version",
            "Metadata-Version",
            "Dynamic",
            "Content-Type",
            "Description",
            "Keywords",
            "Project-URL",
            "Requires-Dist",
            "License-File",
            "License-Expression",
            "Description-Content-Type",
            "Content-Transfer-Encoding",
            "Import-Name",
            "Requires-Python",
            "x",
        ]
    ).map(str.encode),
    st.binary(max_size=30)
    | st.sampled_from([b"demo", b"1.0", b"2.4", b"=?x?q?=ff?=", b"text/plain; x*", b"multipart/mixed"]),
).map(b": ".join)


@given(st.lists(header | st.binary(max_size=20), max_size=12).map(b"\n".join))
def test_metadata_is_read_or_refused_whatever_it_is(content: bytes) -> None:
    try:
        parsed = core_metadata.parse(content, "METADATA")
    except Invalid:
        return

    assert parsed.name
    assert parsed.version
