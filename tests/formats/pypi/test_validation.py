from __future__ import annotations

import io

import pytest

from registry.errors import Invalid
from registry.formats.pypi import metadata, publication, validation
from registry.formats.pypi.metadata import Inspection
from registry.formats.pypi.publication import Publication
from registry.formats.pypi.validation import Strictness
from tests.formats.pypi.distributions import a_wheel, an_sdist, core_metadata

WHEEL = "my_demo-1.0-py3-none-any.whl"
SDIST = "my_demo-1.0.tar.gz"
SHA = "1a" * 32


def a_publication(file_name: str = WHEEL, **fields: str) -> Publication:
    is_wheel = file_name.endswith(".whl")
    form = {
        "name": "My.Demo",
        "version": "1.0",
        "filetype": "bdist_wheel" if is_wheel else "sdist",
        "pyversion": "py3" if is_wheel else "source",
        "protocol_version": "1",
        "sha256_digest": SHA,
    } | fields
    return publication.parse({field: [value] for field, value in form.items()}, file_name)


def an_inspection(
    *lines: str, file_name: str = WHEEL, name: str = "My_Demo", version: str = "1.0", metadata_version: str = "2.1"
) -> Inspection:
    text = core_metadata(name, version, *lines, metadata_version=metadata_version)
    if file_name.endswith(".whl"):
        directory = "-".join(file_name.split("-")[:2])
        content = a_wheel(*directory.split("-"), metadata=text)
    else:
        content = an_sdist(metadata=text, compression="zip" if file_name.endswith(".zip") else "gz")
    return metadata.inspect(io.BytesIO(content), file_name)


def refusal(published: Publication, inspection: Inspection | None, strictness: Strictness) -> str:
    with pytest.raises(Invalid) as refused:
        validation.check(published, inspection, strictness)
    return refused.value.text


@pytest.mark.parametrize("strictness", list(Strictness))
@pytest.mark.parametrize("file_name", [WHEEL, SDIST])
def test_a_sound_file_in_normal_spelling_passes_every_level(strictness: Strictness, file_name: str) -> None:
    published, inspection = a_publication(file_name), an_inspection(file_name=file_name)

    validation.check(published, inspection, strictness)

    assert validation.is_trusted(published, inspection)


def test_gitlabs_own_example_passes_basic_but_is_not_trusted() -> None:
    published = a_publication("my.pypi.package-0.0.1.tar.gz", name="mypypipackage", version="1.3.7")
    inspection = an_inspection(file_name=SDIST, name="my.pypi.package", version="0.0.1")

    validation.check(published, inspection, Strictness.BASIC)

    assert not validation.is_trusted(published, inspection)


def test_what_cannot_be_read_passes_basic_only() -> None:
    validation.check(a_publication(), None, Strictness.BASIC)

    assert not validation.is_trusted(a_publication(), None)
    assert refusal(a_publication(), None, Strictness.STANDARD) == f"{WHEEL} could not be read"
    assert refusal(a_publication(), None, Strictness.STRICT) == f"{WHEEL} could not be read"


@pytest.mark.parametrize(
    ("name", "version", "text"),
    [
        ("other", "1.0", f"{SDIST} says it is 'other' '1.0', but the form says 'My.Demo' '1.0'"),
        ("my-demo", "1.1", f"{SDIST} says it is 'my-demo' '1.1', but the form says 'My.Demo' '1.0'"),
        ("my-demo", "1.0+local", f"{SDIST} says it is 'my-demo' '1.0+local', but the form says 'My.Demo' '1.0'"),
        ("my-demo", "nonsense", f"{SDIST} says it is 'my-demo' 'nonsense', but the form says 'My.Demo' '1.0'"),
    ],
)
def test_standard_wants_the_name_and_version_of_the_form(name: str, version: str, text: str) -> None:
    inspection = an_inspection(file_name=SDIST, name=name, version=version)

    assert refusal(a_publication(SDIST), inspection, Strictness.STANDARD) == text


@pytest.mark.parametrize(("name", "version"), [("my_demo", "1.0"), ("MY--DEMO", "1"), ("My.Demo", "v1.0.0")])
def test_standard_compares_after_normalisation(name: str, version: str) -> None:
    validation.check(
        a_publication(SDIST), an_inspection(file_name=SDIST, name=name, version=version), Strictness.STANDARD
    )


def test_a_file_of_another_kind_passes_standard_untrusted() -> None:
    published = a_publication("my_demo-1.0.exe", filetype="bdist_wininst")
    inspection = metadata.inspect(io.BytesIO(b"MZ"), published.file_name)

    validation.check(published, inspection, Strictness.STANDARD)

    assert not validation.is_trusted(published, inspection)


def test_standard_takes_what_only_strict_refuses() -> None:
    file_name = "My.Demo-1.0+cu118-cp311-cp311-linux_x86_64.whl"
    published = a_publication(file_name, version="1.0+cu118", sha256_digest="", filetype="", pyversion="")
    inspection = an_inspection(file_name=file_name, version="1.0+cu118", metadata_version="2.9")

    validation.check(published, inspection, Strictness.STANDARD)


@pytest.mark.parametrize(
    ("file_name", "fields", "text"),
    [
        (WHEEL, {"protocol_version": "2"}, "protocol_version must be 1"),
        (WHEEL, {"filetype": ""}, "filetype must be sdist or bdist_wheel"),
        (WHEEL, {"filetype": "bdist_egg"}, "filetype must be sdist or bdist_wheel"),
        (WHEEL, {"pyversion": ""}, "pyversion must be source for an sdist, and the Python tag for a wheel"),
        (SDIST, {"pyversion": "py3"}, "pyversion must be source for an sdist, and the Python tag for a wheel"),
        (
            SDIST,
            {"filetype": "bdist_wheel", "pyversion": "py3"},
            f"{SDIST} must end in .whl, because its filetype is bdist_wheel",
        ),
        ("my_demo-1.0.zip", {}, "my_demo-1.0.zip must end in .tar.gz, because its filetype is sdist"),
        (WHEEL, {"sha256_digest": ""}, "One of sha256_digest, blake2_256_digest and md5_digest is needed"),
    ],
)
def test_strict_judges_the_form(file_name: str, fields: dict[str, str], text: str) -> None:
    inspection = an_inspection(file_name=file_name)

    assert refusal(a_publication(file_name, **fields), inspection, Strictness.STRICT) == text


@pytest.mark.parametrize("name", ["asyncio", "Requirements.txt", "zipfile"])
def test_strict_refuses_reserved_names(name: str) -> None:
    file_name = f"{name.lower().replace('.', '_')}-1.0.tar.gz"
    inspection = an_inspection(file_name=file_name, name=name)

    assert refusal(a_publication(file_name, name=name), inspection, Strictness.STRICT) == (
        f"{name} is a name of Python's standard library or of a requirements file"
    )


def test_strict_refuses_a_local_version() -> None:
    file_name = "my_demo-1.0+cu118-py3-none-any.whl"

    assert (
        refusal(
            a_publication(file_name, version="1.0+cu118"),
            an_inspection(file_name=file_name, version="1.0+cu118"),
            Strictness.STRICT,
        )
        == "1.0+cu118 has a local version (after the +), which is not for publishing"
    )


@pytest.mark.parametrize(
    ("file_name", "text"),
    [
        ("My.Demo-1.0.tar.gz", "The sdist must be named my_demo-1.0.tar.gz"),
        ("my-demo-1.0.tar.gz", "The sdist must be named my_demo-1.0.tar.gz"),
        ("my_demo-1.0.0.tar.gz", "The sdist must be named my_demo-1.0.tar.gz"),
        ("My_Demo-1.0-py3-none-any.whl", "The name of the wheel must begin with my_demo-"),
        ("my.demo-1.0-py3-none-any.whl", "The name of the wheel must begin with my_demo-"),
        ("my_demo-1.0-py3-none-any-variant.whl", "my_demo-1.0-py3-none-any-variant.whl is not named like a wheel"),
    ],
)
def test_strict_wants_the_normal_spelling_of_the_file_name(file_name: str, text: str) -> None:
    assert refusal(a_publication(file_name), an_inspection(file_name=file_name), Strictness.STRICT) == text


@pytest.mark.parametrize(
    "platform",
    [
        "any",
        "win32",
        "win_amd64",
        "win_arm64",
        "macosx_10_9_x86_64",
        "macosx_11_0_arm64",
        "macosx_15_0_universal2",
        "macosx_26_0_arm64",
        "linux_armv7l",
        "manylinux1_x86_64",
        "manylinux2014_aarch64",
        "manylinux_2_17_x86_64.manylinux2014_x86_64",
        "musllinux_1_2_s390x",
        "ios_13_0_arm64_iphoneos",
        "android_21_arm64_v8a",
        "pyemscripten_2026_0_wasm32",
    ],
)
def test_strict_takes_the_platforms_of_the_public_index(platform: str) -> None:
    file_name = f"my_demo-1.0-cp311-cp311-{platform}.whl"

    validation.check(a_publication(file_name), an_inspection(file_name=file_name), Strictness.STRICT)


@pytest.mark.parametrize(
    "platform",
    ["linux_x86_64", "macosx_11_1_arm64", "macosx_27_0_arm64", "freebsd_14_amd64", "manylinux_x86_64", "win64"],
)
def test_strict_refuses_other_platforms(platform: str) -> None:
    file_name = f"my_demo-1.0-cp311-cp311-any.{platform}.whl"

    assert refusal(a_publication(file_name), an_inspection(file_name=file_name), Strictness.STRICT) == (
        f"The wheel is for {platform}, which is not a platform of the public index"
    )


def test_strict_refuses_the_first_problem_of_the_metadata() -> None:
    inspection = an_inspection(metadata_version="2.9")

    assert refusal(a_publication(), inspection, Strictness.STRICT) == (
        f"{WHEEL}: Metadata-Version is '2.9', not one of 1.0, 1.1, 1.2, 2.1, 2.2, 2.3, 2.4, 2.5"
    )


def test_strict_wants_the_same_requires_python_in_form_and_metadata() -> None:
    inspection = an_inspection("Requires-Python: >=3.9, !=3.10.*")

    validation.check(a_publication(requires_python="!=3.10.*,>=3.9"), inspection, Strictness.STRICT)

    assert refusal(a_publication(requires_python=">=3.8"), inspection, Strictness.STRICT) == (
        f"The form says Requires-Python '>=3.8', {WHEEL} says '>=3.9, !=3.10.*'"
    )


@pytest.mark.parametrize(
    ("declared", "lines", "name", "expected"),
    [
        (">=3.8", ["Requires-Python: >=3.9"], "My_Demo", ">=3.8"),
        ("", ["Requires-Python: >=3.9"], "My_Demo", ">=3.9"),
        ("", ["Requires-Python: >=3.9"], "other", ""),
        ("", [], "My_Demo", ""),
        ("", ["Requires-Python: " + ">=3," * 100], "My_Demo", ">=3," * 63 + "..."),
    ],
)
def test_requires_python_comes_from_the_form_else_from_trusted_metadata(
    declared: str, lines: list[str], name: str, expected: str
) -> None:
    published = a_publication(SDIST, requires_python=declared)

    assert expected == validation.requires_python(published, an_inspection(*lines, file_name=SDIST, name=name))


def test_requires_python_of_what_cannot_be_read_is_the_forms() -> None:
    assert validation.requires_python(a_publication(requires_python=">=3"), None) == ">=3"
