from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import DigestMismatch, Invalid
from registry.formats.pypi import publication
from registry.formats.pypi.publication import BadParameters, DeclaredDigests, Publication
from registry.model import Digests

FILE = "demo-1.0-py3-none-any.whl"
SHA256, MD5, BLAKE2 = "A1" * 32, "B2" * 16, "C3" * 32

# What twine sends, shortened, with what the protocol repeats and what nobody knows.
FIELDS: dict[str, list[str]] = {
    ":action": ["file_upload"],
    "protocol_version": ["1"],
    "filetype": ["bdist_wheel"],
    "pyversion": ["py3"],
    "metadata_version": ["2.4"],
    "name": ["My.Demo-x"],
    "version": ["v1.0"],
    "summary": ["A demonstration"],
    "description": ["# Demo\r\n\r\nText"],
    "description_content_type": ["text/markdown"],
    "keywords": ["a,b"],
    "author_email": ["Ada <ada@example.org>"],
    "requires_python": [">=3.9"],
    "sha256_digest": [SHA256],
    "md5_digest": [MD5],
    "blake2_256_digest": [BLAKE2],
    "classifiers": ["A :: B", "C :: D"],
    "requires_dist": ["x", "y"],
    "project_urls": ["Home, https://example.org"],
    "attestations": ["[]"],
    "comment": [""],
    "of_the_future": ["1", "2"],
}

PUBLICATION = Publication(
    name="My.Demo-x",
    normalized_name="my-demo-x",
    version="v1.0",
    file_name=FILE,
    requires_python=">=3.9",
    declared=DeclaredDigests(sha256="a1" * 32, md5="b2" * 16, blake2b_256="c3" * 32),
    metadata={
        "metadata_version": "2.4",
        "author_email": "Ada <ada@example.org>",
        "description": "# Demo\r\n\r\nText",
        "description_content_type": "text/markdown",
        "summary": "A demonstration",
        "keywords": "a,b",
    },
    filetype="bdist_wheel",
    pyversion="py3",
    protocol_version="1",
    attestations="[]",
)


def a_form(**changes: str | Sequence[str] | None) -> dict[str, Sequence[str]]:
    form: dict[str, Sequence[str]] = {"name": ["demo"], "version": ["1.0"]}
    for field, value in changes.items():
        if value is None:
            form.pop(field, None)
        else:
            form[field] = [value] if isinstance(value, str) else value
    return form


@given(st.permutations(list(FIELDS)))
def test_any_order_of_fields_gives_the_same_publication(order: list[str]) -> None:
    assert publication.parse({field: FIELDS[field] for field in order}, FILE) == PUBLICATION


def test_the_three_fields_of_gitlabs_own_example_are_enough() -> None:
    parsed = publication.parse({"name": ["mypypipackage"], "version": ["1.3.7"]}, "my.pypi.package-0.0.1.tar.gz")

    assert parsed == Publication(
        name="mypypipackage",
        normalized_name="mypypipackage",
        version="1.3.7",
        file_name="my.pypi.package-0.0.1.tar.gz",
        requires_python="",
        declared=DeclaredDigests(),
        metadata={},
    )


@pytest.mark.parametrize(
    ("fields", "file_name", "text"),
    [
        ({}, None, "content is missing, name is missing, version is missing"),
        ({"name": ["demo"], "version": ["1.0"]}, None, "content is missing"),
        ({"version": ["1.0"]}, FILE, "name is missing"),
        ({"name": ["demo"]}, FILE, "version is missing"),
        ({"name": [], "version": []}, FILE, "name is missing, version is missing"),
        ({"name": ["UNKNOWN"], "version": ["1.0"]}, FILE, "name is missing"),
        (a_form(sha256_digest="1" * 63), FILE, "sha256_digest is invalid"),
        (a_form(sha256_digest="g" * 64), FILE, "sha256_digest is invalid"),
        (a_form(sha256_digest="1" * 64 + "\n"), FILE, "sha256_digest is invalid"),
        (a_form(sha256_digest="\u0661" * 64), FILE, "sha256_digest is invalid"),
        (a_form(sha256_digest="1" * 5000), FILE, "sha256_digest is invalid"),
        (a_form(md5_digest="1" * 31), FILE, "md5_digest is invalid"),
        (a_form(blake2_256_digest="x"), FILE, "blake2_256_digest is invalid"),
        (a_form(name=None, sha256_digest="x"), FILE, "name is missing, sha256_digest is invalid"),
        (a_form(name=["demo", "other"]), FILE, "name is given more than once"),
        (a_form(version=["1.0", "2.0"]), FILE, "version is given more than once"),
        (a_form(requires_python=[">=3", ">=4"]), FILE, "requires_python is given more than once"),
        (a_form(sha256_digest=["1" * 64, "2" * 64]), FILE, "sha256_digest is given more than once"),
        (a_form(name="de\0mo"), FILE, "name is invalid"),
        (a_form(summary="nul \0"), FILE, "summary is invalid"),
        (a_form(description="lone \ud800 surrogate"), FILE, "description is invalid"),
        (a_form(requires_python="\udfff"), FILE, "requires_python is invalid"),
        (a_form(attestations="\0"), FILE, "attestations is invalid"),
    ],
)
def test_a_missing_or_malformed_field_is_named(
    fields: Mapping[str, Sequence[str]], file_name: str | None, text: str
) -> None:
    with pytest.raises(BadParameters) as refused:
        publication.parse(fields, file_name)

    assert (400, text) == (refused.value.status, refused.value.text)


@pytest.mark.parametrize(
    ("fields", "file_name", "text"),
    [
        (a_form(name=""), FILE, "Validation failed: Name is invalid"),
        (a_form(name="../demo"), FILE, "Validation failed: Name is invalid"),
        (a_form(name="\u212aelvin"), FILE, "Validation failed: Name is invalid"),
        (a_form(name="x" * 5000), FILE, "Validation failed: Name is too long (maximum is 255 characters)"),
        (a_form(version="1.0\r\nX: y"), FILE, "Validation failed: Version is invalid"),
        (a_form(version="9" * 5000), FILE, "Validation failed: Version is too long (maximum is 255 characters)"),
        (a_form(), "x" * 5000, "Validation failed: File name is too long (maximum is 255 characters)"),
    ],
)
def test_a_bad_name_or_version_is_refused_in_gitlabs_words(
    fields: Mapping[str, Sequence[str]], file_name: str, text: str
) -> None:
    with pytest.raises(Invalid) as refused:
        publication.parse(fields, file_name)

    assert (Invalid, text) == (type(refused.value), refused.value.text)


@pytest.mark.parametrize("file_name", ["", "../demo.whl", "a\\b.whl", "demo\r\n.whl", "demo\0.whl", ".whl"])
def test_a_bad_file_name_is_refused(file_name: str) -> None:
    with pytest.raises(Invalid, match=r"^Validation failed: File name is invalid"):
        publication.parse(a_form(), file_name)


def test_a_repeated_field_that_says_the_same_is_fine() -> None:
    parsed = publication.parse(a_form(name=["demo", "demo"], summary=["first", "second"]), FILE)

    assert (parsed.name, parsed.metadata) == ("demo", {"summary": "first"})


def test_an_unknown_or_empty_value_counts_as_not_given() -> None:
    parsed = publication.parse(
        a_form(
            summary="UNKNOWN", author_email=" UNKNOWN ", keywords="", md5_digest="", sha256_digest="", attestations=""
        ),
        FILE,
    )

    assert parsed == publication.parse(a_form(), FILE)


@pytest.mark.parametrize(
    ("field", "limit"),
    [
        ("metadata_version", 16),
        ("author_email", 2048),
        ("description", 4000),
        ("description_content_type", 128),
        ("summary", 255),
        ("keywords", 1024),
    ],
)
def test_metadata_is_cut_to_gitlabs_length_with_three_dots(field: str, limit: int) -> None:
    fits = publication.parse(a_form(**{field: "\u00e9" * limit}), FILE)
    longer = publication.parse(a_form(**{field: "\u00e9" * (limit + 1)}), FILE)

    assert {field: "\u00e9" * limit} == fits.metadata
    assert {field: "\u00e9" * (limit - 3) + "..."} == longer.metadata


def test_requires_python_is_cut_as_well() -> None:
    assert publication.parse(a_form(requires_python=">" * 5000), FILE).requires_python == ">" * 252 + "..."


COMPUTED = Digests(sha256="a1" * 32, md5="b2" * 16, blake2b_256="c3" * 32)


def test_right_digests_pass_in_either_case() -> None:
    publication.check_digests(PUBLICATION, COMPUTED)


def test_nothing_declared_needs_nothing_computed() -> None:
    publication.check_digests(publication.parse(a_form(), FILE), Digests(sha256="0" * 64))


@pytest.mark.parametrize(
    ("field", "algorithm", "computed"),
    [
        ("sha256_digest", "sha256", "a1" * 32),
        ("md5_digest", "md5", "b2" * 16),
        ("blake2_256_digest", "blake2b_256", "c3" * 32),
    ],
)
def test_a_wrong_digest_is_refused_naming_both(field: str, algorithm: str, computed: str) -> None:
    declared = "0" * len(computed)
    published = publication.parse(a_form(**{field: declared}), FILE)

    with pytest.raises(DigestMismatch) as refused:
        publication.check_digests(published, COMPUTED)

    assert f"The {algorithm} of {FILE} is {computed}, but the form declares {declared}" == refused.value.text


def test_a_declared_digest_cannot_go_unchecked() -> None:
    published = publication.parse(a_form(blake2_256_digest=BLAKE2), FILE)

    with pytest.raises(ValueError, match="blake2b_256 is declared and must be computed"):
        publication.check_digests(published, Digests(sha256="a1" * 32))
