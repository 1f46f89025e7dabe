from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable

import pytest

from registry import tree
from registry.model import Project
from tests.formats.pypi import distributions
from tests.formats.pypi.forms import upload
from tests.formats.pypi.refusals import Refusal, check, post
from tests.people import OPERATOR, People, Person

BOTH = pytest.mark.parametrize("storage_url", ["local", "s3"], indirect=True)


def a_zip_bomb() -> bytes:
    """300 MB of zeros in 300 KB."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for name, content in distributions.wheel_members().items():
            target.writestr(name, content)
        with target.open("demo/zeros", "w", force_zip64=True) as entry:
            for _ in range(300):
                entry.write(bytes(1 << 20))
    return archive.getvalue()


def a_tar_bomb() -> bytes:
    """300 MB of zeros in 300 KB."""
    member = tarfile.TarInfo("demo-1.0/zeros")
    member.size = 300 << 20
    archive = io.BytesIO()
    with gzip.GzipFile(fileobj=archive, mode="wb", compresslevel=1) as target:
        target.write(member.tobuf(tarfile.PAX_FORMAT))
        for _ in range(300):
            target.write(bytes(1 << 20))
    return archive.getvalue()


def a_wheel_with_a_huge_metadata() -> bytes:
    return distributions.a_wheel(metadata=distributions.core_metadata(body="x" * (5 << 20)))


def a_tar_with(member: tarfile.TarInfo, content: bytes = b"") -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as target:
        for name, text in distributions.sdist_members().items():
            if name != member.name:
                info = tarfile.TarInfo(name)
                info.size = len(text)
                target.addfile(info, io.BytesIO(text))
        member.size = len(content)
        target.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def a_link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


WHEEL = "demo-1.0-py3-none-any.whl"
SDIST = "demo-1.0.tar.gz"

UNSOUND: list[tuple[str, str, Callable[[], bytes], str]] = [
    ("text as a wheel", WHEEL, lambda: b"not a zip", "is not a zip file"),
    ("nothing as a wheel", WHEEL, lambda: b"", "is not a zip file"),
    ("half a wheel", WHEEL, lambda: distributions.a_wheel()[:-200], "is not a zip file"),
    ("data after a wheel", WHEEL, lambda: distributions.a_wheel() + b"x", "is not a zip file"),
    ("data before a wheel", WHEEL, lambda: b"#!/bin/sh\n" + distributions.a_wheel(), "central directory"),
    ("a bomb as a wheel", WHEEL, a_zip_bomb, "the archive"),
    ("huge METADATA", WHEEL, a_wheel_with_a_huge_metadata, "is larger than"),
    ("no METADATA", WHEEL, lambda: distributions.a_wheel(without=["METADATA"]), "has no demo-1.0.dist-info/METADATA"),
    ("no WHEEL", WHEEL, lambda: distributions.a_wheel(without=["WHEEL"]), "has no demo-1.0.dist-info/WHEEL"),
    ("a wheel of another name", WHEEL, lambda: distributions.a_wheel("other"), "dist-info"),
    ("a wheel of another version", WHEEL, lambda: distributions.a_wheel(version="2.0"), "dist-info"),
    ("a wheel named like nothing", "demo.whl", distributions.a_wheel, "is not named like a wheel"),
    (
        "METADATA of another name",
        WHEEL,
        lambda: distributions.a_wheel(metadata=distributions.core_metadata("other")),
        "METADATA",
    ),
    ("METADATA without a name", WHEEL, lambda: distributions.a_wheel(metadata=b"Version: 1.0\n\n"), "needs one Name"),
    ("traversal in a wheel", WHEEL, lambda: distributions.a_wheel(extra={"../evil.pth": b"x"}), "outside of its own"),
    ("a root path in a wheel", WHEEL, lambda: distributions.a_wheel(extra={"/etc/evil": b"x"}), "outside of its own"),
    ("text as an sdist", SDIST, lambda: b"not a tar", "the archive"),
    ("half an sdist", SDIST, lambda: distributions.an_sdist()[:-40], "the archive"),
    ("data after an sdist", SDIST, lambda: distributions.an_sdist() + b"x" * 100, "the archive has data after its end"),
    ("a bomb as an sdist", SDIST, a_tar_bomb, "the archive unpacks to more than"),
    ("an sdist of another version", SDIST, lambda: distributions.an_sdist(version="2.0"), "says it is 'demo' '2.0'"),
    ("no PKG-INFO", SDIST, lambda: distributions.a_tar({"demo-1.0/setup.py": b""}), "no PKG-INFO"),
    (
        "two top directories",
        SDIST,
        lambda: distributions.a_tar({**distributions.sdist_members(), "other/setup.py": b""}),
        "top director",
    ),
    ("traversal in an sdist", SDIST, lambda: a_tar_with(tarfile.TarInfo("../evil"), b"x"), "outside of its own"),
    (
        "a PKG-INFO elsewhere",
        SDIST,
        lambda: a_tar_with(a_link("demo-1.0/PKG-INFO", "/etc/passwd")),
        "PKG-INFO of the sdist is a",
    ),
    ("a zip as a tar", SDIST, lambda: distributions.an_sdist(compression="zip"), "the archive"),
    ("a tar as a zip", "demo-1.0.zip", distributions.an_sdist, "is not a zip file"),
]


@BOTH
async def test_an_unsound_archive_is_refused_from_the_standard_level_on(
    people: People, project: Project, developer: Person, subtests: pytest.Subtests
) -> None:
    await tree.update_project(people.services.db, OPERATOR, project, {}, {"pypi_validation": "standard"})
    for title, file_name, make, says in UNSOUND:
        with subtests.test(title):
            await check(people, developer, project, Refusal(title, upload(file_name=file_name, content=make()), says))
    sound = upload(file_name=WHEEL, content=distributions.a_wheel())
    assert 201 == (await post(developer, project, sound)).status


async def test_an_unsound_archive_is_stored_at_the_basic_level_and_nothing_is_taken_from_it(
    people: People, project: Project, developer: Person
) -> None:
    for number, (_, file_name, make, _) in enumerate(UNSOUND):
        name = file_name.replace("-py3", f"-{number}-py3").replace(".tar", f"-{number}.tar")
        assert 201 == (await post(developer, project, upload(file_name=name, content=make()))).status
    rows = await people.services.db.fetch("SELECT core_metadata_sha256, requires_python FROM package_files")

    assert len(UNSOUND) == len(rows)
    assert {(None, "")} == {tuple(row) for row in rows}
