from __future__ import annotations

import io
import json
import tarfile

import pytest

from registry.errors import Invalid
from registry.formats.npm import tarball
from tests.formats.npm.documents import a_tarball, tar

PACKAGE_JSON = b'{"name":"widget","version":"1.0.0"}'


def inspect(content: bytes) -> dict[str, object]:
    return tarball.inspect(io.BytesIO(content))


def test_a_tarball_is_inspected() -> None:
    package_json = {"name": "widget", "version": "1.0.0", "os": ["linux"], "description": "left out", "exports": {}}
    files = {
        "npm-shrinkwrap.json": b"{}",
        "binding.gyp": b"{}",
        "lib/a.js": b"123",
        "node_modules/b/package.json": b"{",
    }

    found = inspect(a_tarball(package_json, files, folder="node"))

    assert {
        "package_json": {"name": "widget", "version": "1.0.0", "os": ["linux"]},
        "file_count": 5,
        "unpacked_size": len(json.dumps(package_json)) + 8,
        "has_shrinkwrap": True,
        "has_gyp": True,
        "has_binding_gyp": True,
        "bin_files": [],
    } == found
    assert found == json.loads(json.dumps(found))
    assert 5 == tarball.Inspection(**found).file_count  # type: ignore[arg-type]


def test_files_deeper_down_do_not_count_as_the_packages_own() -> None:
    found = inspect(a_tarball(None, {"sub/npm-shrinkwrap.json": b"", "sub/binding.gyp": b"", "sub/x.gyp": b""}))

    assert (False, False, False) == (found["has_shrinkwrap"], found["has_gyp"], found["has_binding_gyp"])


def test_the_files_of_directories_bin_are_listed() -> None:
    package_json = {"name": "widget", "version": "1.0.0", "directories": {"bin": "./bin/"}}

    found = inspect(a_tarball(package_json, {"bin/one.js": b"", "bin/sub/two": b"", "binary/three": b""}))

    assert ["bin/one.js", "bin/sub/two"] == found["bin_files"]


def test_a_byte_order_mark_is_ignored_as_npm_does() -> None:
    found = inspect(a_tarball(b"\xef\xbb\xbf" + PACKAGE_JSON))

    assert {"name": "widget", "version": "1.0.0"} == found["package_json"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("package/index.js", b"")], "package.json not found"),
        ([("package.json", PACKAGE_JSON)], "package.json not found"),
        ([("a/b/package.json", PACKAGE_JSON)], "package.json not found"),
        ([("package/Package.json", PACKAGE_JSON)], "package.json not found: 'package/Package.json' is not a file"),
        ([("package//package.json", PACKAGE_JSON)], "package.json not found: 'package//package.json' is not a file"),
        ([("package/./package.json", PACKAGE_JSON)], "package.json not found: 'package/./package.json' is not a file"),
        ([("package/package.json", b"{")], "invalid package file: package.json is not valid JSON"),
        ([("package/package.json", b'{"a":"\xff"}')], "invalid package file: package.json is not valid JSON"),
        ([("package/package.json", b"[]")], "invalid package file: package.json is not an object"),
        ([("package/package.json", b" " * (4 * 1024 * 1024 + 1))], "package.json file too large"),
        *(
            (
                [("package/package.json", PACKAGE_JSON), (second, b"{}")],
                f"The tarball holds package.json twice: {second!r}",
            )
            for second in (
                "package/package.json",
                "other/package.json",
                "package/PACKAGE.JSON",
                "package//package.json",
                "package/./package.json",
                "package\\package.json",
                "package/package.j\u017fon",
            )
        ),
    ],
)
def test_a_package_json_that_clients_would_read_differently_is_refused(
    members: list[tuple[str, bytes]], message: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        inspect(tar(members))

    assert refusal.value.text.startswith(message)


@pytest.mark.parametrize("name", ["package/../../etc/passwd", "/etc/passwd", "..\\x", "C:\\x"])
def test_a_member_outside_of_the_package_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        inspect(tar([("package/package.json", PACKAGE_JSON), (name, b"x")]))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_a_package_json_that_is_no_file_is_refused(kind: bytes) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("package/package.json")
        member.type, member.linkname = kind, "other.json"
        archive.addfile(member)

    with pytest.raises(Invalid, match=r"package\.json not found"):
        inspect(buffer.getvalue())


@pytest.mark.parametrize("content", [b"", b"not a tarball", b"\x1f\x8b", a_tarball()[:-20]])
def test_a_damaged_tarball_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid):
        inspect(content)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("./cli.js", "cli.js"),
        ("bin/x", "bin/x"),
        ("../../x.js", "x.js"),
        ("lib\\b.js", "lib/b.js"),
        ("/x", "x"),
        ("//x", "x"),
        ("C:\\x", "C/x"),
        (".", ""),
        ("..", ""),
        ("", ""),
    ],
)
def test_a_path_never_leads_out_of_the_package(reference: str, expected: str) -> None:
    assert expected == tarball.secure(reference)
