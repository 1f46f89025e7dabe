from __future__ import annotations

import io
import json
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import Invalid
from registry.formats.pypi import metadata
from registry.formats.pypi.metadata import Inspection
from tests.formats.pypi.distributions import (
    a_tar,
    a_wheel,
    a_zip,
    an_sdist,
    core_metadata,
    sdist_members,
    wheel_members,
)

WHEEL = "demo-1.0-py3-none-any.whl"
SDIST = "demo-1.0.tar.gz"
OUTSIDE = "the archive has a member outside of its own directory"


def inspected(content: bytes, file_name: str) -> Inspection:
    """As the child process answers: through JSON."""
    found: Inspection = json.loads(json.dumps(metadata.inspect(io.BytesIO(content), file_name)))
    return found


def refusal(content: bytes, file_name: str) -> str:
    with pytest.raises(Invalid) as refused:
        metadata.inspect(io.BytesIO(content), file_name)
    return refused.value.text


def test_a_wheel_tells_everything() -> None:
    text = core_metadata("demo", "1.0", "Requires-Python: >=3.9", "Dynamic: Summary", metadata_version="2.4")

    assert inspected(a_wheel(metadata=text), WHEEL) == {
        "kind": "wheel",
        "name": "demo",
        "version": "1.0",
        "requires_python": ">=3.9",
        "metadata_version": "2.4",
        "dynamic": ["summary"],
        "core_metadata": text.decode(),
        "core_metadata_encoding": "utf-8",
        "offers_core_metadata": True,
        "files": 4,
        "problems": [],
    }


@pytest.mark.parametrize(
    ("compression", "file_name"),
    [
        ("gz", "demo-1.0.tar.gz"),
        ("gz", "demo-1.0.tgz"),
        ("bz2", "demo-1.0.tar.bz2"),
        ("xz", "demo-1.0.tar.xz"),
        ("", "demo-1.0.tar"),
        ("zip", "demo-1.0.zip"),
    ],
)
def test_an_sdist_of_every_kind_tells_everything(compression: str, file_name: str) -> None:
    text = core_metadata("demo", "1.0", "Requires-Python: >=3.9", metadata_version="2.2")

    assert inspected(an_sdist(metadata=text, compression=compression), file_name) == {
        "kind": "sdist",
        "name": "demo",
        "version": "1.0",
        "requires_python": ">=3.9",
        "metadata_version": "2.2",
        "dynamic": [],
        "core_metadata": text.decode(),
        "core_metadata_encoding": "utf-8",
        "offers_core_metadata": True,
        "files": 3,
        "problems": [],
    }


def test_a_file_of_another_kind_is_not_looked_into() -> None:
    assert inspected(b"whatever", "setup.exe") == {
        "kind": "other",
        "name": "",
        "version": "",
        "requires_python": "",
        "metadata_version": "",
        "dynamic": [],
        "core_metadata": "",
        "core_metadata_encoding": "utf-8",
        "offers_core_metadata": False,
        "files": 0,
        "problems": [],
    }


@given(st.binary(max_size=200))
def test_core_metadata_is_kept_byte_for_byte(body: bytes) -> None:
    text = core_metadata() + body

    assert text == metadata.core_metadata_bytes(inspected(a_wheel(metadata=text), WHEEL))


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_byte_order_mark_and_line_ends_are_kept(newline: bytes) -> None:
    text = core_metadata("demo", "1.0", "Author: \u00e9").replace(b"\n", newline) + "\ufeff\u2028".encode()

    found = inspected(a_wheel(metadata=text), WHEEL)

    assert ("utf-8", text) == (found["core_metadata_encoding"], metadata.core_metadata_bytes(found))


@pytest.mark.parametrize(
    ("metadata_version", "lines", "offered"),
    [
        ("1.0", [], False),
        ("2.1", [], False),
        ("2.2", [], True),
        ("2.4", ["Dynamic: License-File"], True),
        ("2.4", ["Dynamic: Requires-Dist"], False),
    ],
)
def test_an_sdist_offers_only_metadata_that_holds_for_its_wheels(
    metadata_version: str,
    lines: list[str],
    offered: bool,  # noqa: FBT001
) -> None:
    text = core_metadata("demo", "1.0", *lines, metadata_version=metadata_version)

    assert offered is inspected(an_sdist(metadata=text), SDIST)["offers_core_metadata"]
    assert inspected(a_wheel(metadata=text), WHEEL)["offers_core_metadata"]


@pytest.mark.parametrize(
    ("file_name", "directory", "name", "version"),
    [
        ("jaraco.classes-3.4.0-py3-none-any.whl", "jaraco.classes-3.4.0", "jaraco.classes", "3.4.0"),
        ("MarkupSafe-3.0.2-cp311-cp311-win32.whl", "MarkupSafe-3.0.2", "MarkupSafe", "3.0.2"),
        ("my_demo-1.0-py3-none-any.whl", "my_demo-1.0", "My-Demo", "1.0"),
        ("my_demo-1.0-py3-none-any.whl", "my-demo-1.0.0", "my.demo", "1"),
        ("demo-1!2.0+cu118-py3-none-any.whl", "demo-1!2.0+cu118", "demo", "1!2.0+cu118"),
        ("demo-1.0_1-py3-none-any.whl", "demo-1.0_1", "demo", "1.0.post1"),
        ("demo-1.0-1-py3-none-any-variant.whl", "demo-1.0", "demo", "1.0"),
    ],
)
def test_spelling_does_not_make_a_wheel_unsound(file_name: str, directory: str, name: str, version: str) -> None:
    members = {
        f"{directory}.dist-info/METADATA": core_metadata(name, version),
        f"{directory}.dist-info/WHEEL": b"Wheel-Version: 1.0\n",
        f"{directory}.dist-info/RECORD": b"",
    }

    found = inspected(a_zip(members), file_name)

    assert ("wheel", name, version) == (found["kind"], found["name"], found["version"])


@pytest.mark.parametrize(
    ("content", "file_name", "text"),
    [
        (a_wheel(), "package.whl", "package.whl is not named like a wheel"),
        (a_wheel(without=["METADATA"]), WHEEL, "The wheel has no demo-1.0.dist-info/METADATA"),
        (a_wheel(without=["WHEEL"]), WHEEL, "The wheel has no demo-1.0.dist-info/WHEEL"),
        (a_zip({"demo/__init__.py": b""}), WHEEL, "The wheel has 0 .dist-info directories, not one"),
        (
            a_zip(wheel_members() | wheel_members("other")),
            WHEEL,
            "The wheel has 2 .dist-info directories, not one",
        ),
        (
            a_wheel("other"),
            WHEEL,
            "The wheel is named demo 1.0, but has the directory 'other-1.0.dist-info'",
        ),
        (
            a_wheel("demo", "2.0"),
            WHEEL,
            "The wheel is named demo 1.0, but has the directory 'demo-2.0.dist-info'",
        ),
        (
            a_wheel(metadata=core_metadata("other", "1.0")),
            WHEEL,
            "The wheel is named demo 1.0, but demo-1.0.dist-info/METADATA says 'other' '1.0'",
        ),
        (
            a_wheel(metadata=core_metadata("demo", "2.0")),
            WHEEL,
            "The wheel is named demo 1.0, but demo-1.0.dist-info/METADATA says 'demo' '2.0'",
        ),
        (
            a_wheel(metadata=core_metadata("dem\u00f6", "1.0")),
            WHEEL,
            "The wheel is named demo 1.0, but demo-1.0.dist-info/METADATA says 'dem\u00f6' '1.0'",
        ),
        (a_wheel(metadata=b""), WHEEL, "demo-1.0.dist-info/METADATA needs one Name"),
        (
            a_wheel(extra={"../evil.py": b""}),
            WHEEL,
            f"{OUTSIDE}: '../evil.py'",
        ),
        (
            a_wheel(extra={"a/../../e": b""}),
            WHEEL,
            f"{OUTSIDE}: 'a/../../e'",
        ),
        (
            a_wheel(extra={"/etc/passwd": b""}),
            WHEEL,
            f"{OUTSIDE}: '/etc/passwd'",
        ),
        (a_zip({}), "demo-1.0.zip", "The sdist has 0 top directories, not one"),
        (a_zip({"demo-1.0/setup.py": b""}), "demo-1.0.zip", "The sdist has no PKG-INFO in 'demo-1.0'"),
        (a_tar({"demo-1.0/setup.py": b""}), SDIST, "The sdist has no PKG-INFO in 'demo-1.0'"),
        (a_tar({"PKG-INFO": core_metadata()}), SDIST, "The sdist has no PKG-INFO in 'PKG-INFO'"),
        (a_tar(sdist_members() | {"other/x": b""}), SDIST, "The sdist has 2 top directories, not one"),
        (
            a_tar(sdist_members() | {"./demo-1.0/PKG-INFO": core_metadata("evil")}),
            SDIST,
            "The sdist has more than one PKG-INFO in 'demo-1.0'",
        ),
        (
            a_tar(sdist_members() | {"demo-1.0/../../evil": b""}),
            SDIST,
            f"{OUTSIDE}: 'demo-1.0/../../evil'",
        ),
        (a_tar(sdist_members(metadata=b"Name: demo\n\n")), SDIST, "PKG-INFO needs one Version"),
    ],
)
def test_an_unsound_archive_is_refused_with_the_reason(content: bytes, file_name: str, text: str) -> None:
    assert refusal(content, file_name).startswith(text)


def test_a_pkg_info_that_points_elsewhere_is_refused() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        link = tarfile.TarInfo("demo-1.0/PKG-INFO")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)

    assert refusal(buffer.getvalue(), SDIST) == "The PKG-INFO of the sdist is a symlink, not a file"


@pytest.mark.parametrize(
    "file_name", [WHEEL, SDIST, "demo-1.0.zip", "demo-1.0.tar.bz2", "demo-1.0.tar.xz", "demo-1.0.tar"]
)
@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04" + b"\0" * 60, b"\x1f\x8b\x08" + b"\0" * 60])
def test_garbage_is_refused(file_name: str, content: bytes) -> None:
    assert refusal(content, file_name)


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_a_truncated_sdist_is_refused(compression: str) -> None:
    content = an_sdist(metadata=core_metadata(body="".join(map(str, range(50_000)))), compression=compression)

    assert refusal(content[: len(content) // 2], f"demo-1.0.tar.{compression}")


def test_a_truncated_wheel_is_refused() -> None:
    assert refusal(a_wheel()[:-30], WHEEL)


@pytest.mark.parametrize(
    ("content", "file_name"),
    [
        (a_wheel(extra={"demo/zeros": b"\0" * (200 << 20)}), WHEEL),
        (an_sdist(metadata=core_metadata(body="x" * (5 << 20))), SDIST),
        (a_wheel(metadata=core_metadata(body="x" * (5 << 20))), WHEEL),
        (a_tar({"demo-1.0/zeros": b"\0" * (200 << 20)}), SDIST),
    ],
    ids=["wheel", "long-pkg-info", "long-metadata", "sdist"],
)
def test_a_bomb_is_refused(content: bytes, file_name: str) -> None:
    assert refusal(content, file_name)


def test_a_project_cannot_be_imitated_with_look_alikes() -> None:
    file_name = "kelvin-1.0-py3-none-any.whl"
    directory = a_zip(wheel_members("\u212aelvin"))
    metadata_only = a_wheel("kelvin", metadata=core_metadata("\u212aelvin"))

    assert "but has the directory '\u212aelvin-1.0.dist-info'" in refusal(directory, file_name)
    assert "but kelvin-1.0.dist-info/METADATA says '\u212aelvin'" in refusal(metadata_only, file_name)


def test_an_sdist_may_spell_its_paths_with_a_dot_in_front() -> None:
    members = {f"./{path}": content for path, content in sdist_members().items()}

    assert inspected(a_tar(members), SDIST)["name"] == "demo"
    assert inspected(a_zip(members), "demo-1.0.zip")["name"] == "demo"


def test_only_strict_refuses_data_descriptors() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        for name, content in wheel_members().items():
            archive.writestr(name, content)
    file = io.BytesIO(pipe.getvalue())

    assert metadata.inspect(file, WHEEL)["name"] == "demo"
    with pytest.raises(Invalid, match="has a data descriptor"):
        metadata.inspect(file, WHEEL, strict=True)


def test_what_is_reported_is_bounded() -> None:
    lines = [f"{field}: {'x' * 300}{number}" for number in range(1000) for field in ("Dynamic", "License-File")]
    found = inspected(a_wheel(metadata=core_metadata("demo", "1.0", *lines, metadata_version="2.4")), WHEEL)

    assert (len(found["dynamic"]), len(found["problems"])) == (50, 50)


def test_a_wheel_without_record_has_a_problem() -> None:
    assert inspected(a_wheel(without=["RECORD"]), WHEEL)["problems"] == ["The wheel has no demo-1.0.dist-info/RECORD"]


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (b"[console_scripts]\nDemo = demo.cli:main\nx=demo:a.b [extra]\n[other]\nany thing = = at all\n", []),
        (b"", []),
        (b"[console_scripts]\ndemo = demo cli\n", ["an invalid entry 'demo' in [console_scripts]"]),
        (b"[gui_scripts]\ndemo =\n", ["an invalid entry 'demo' in [gui_scripts]"]),
        (b"no section = 1\n", None),
        (b"\xff\xfe", None),
        (b"[console_scripts]\na = b:c\na = b:d\n", None),
    ],
)
def test_entry_points_that_cannot_be_read_are_a_problem(content: bytes, problems: list[str] | None) -> None:
    where = "demo-1.0.dist-info/entry_points.txt"
    expected = [f"{where} cannot be read"] if problems is None else [f"{where} has {problem}" for problem in problems]

    assert expected == inspected(a_wheel(extra={where: content}), WHEEL)["problems"]


def test_a_license_file_that_is_missing_is_a_problem() -> None:
    text = core_metadata("demo", "1.0", "License-File: LICENSE", "License-File: doc/NOTICE", metadata_version="2.4")
    present = {"demo-1.0.dist-info/licenses/LICENSE": b""}

    wheel = inspected(a_wheel(metadata=text, extra=present), WHEEL)
    sdist = inspected(a_tar(sdist_members(metadata=text) | {"demo-1.0/doc/NOTICE": b""}), SDIST)

    assert wheel["problems"] == ["License-File 'doc/NOTICE' is missing"]
    assert sdist["problems"] == ["License-File 'LICENSE' is missing"]


def test_before_metadata_2_4_license_files_have_no_fixed_place() -> None:
    text = core_metadata("demo", "1.0", "License-File: LICENSE", metadata_version="2.1")

    assert not any("is missing" in problem for problem in inspected(a_wheel(metadata=text), WHEEL)["problems"])
