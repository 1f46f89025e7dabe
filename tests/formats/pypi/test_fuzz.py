"""PyPI's parsers against anything at all, and the names of wheels against `packaging`."""

from __future__ import annotations

import io
from contextlib import suppress
from functools import cache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from registry.errors import Invalid
from registry.formats.pypi import metadata, names, publication
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
# Machines that do a lot at once are slow to make examples.
fuzz = settings(deadline=None, suppress_health_check=list(HealthCheck))
anything = st.text(max_size=40) | st.text("-_.1aA0+!~ wheln\0/\\é", max_size=40)

# --- archives -------------------------------------------------------------------------------------------------------


@cache
def archive(file_name: str) -> bytes:
    if file_name == WHEEL:
        return a_wheel()
    return an_sdist(compression="zip" if file_name.endswith(".zip") else "gz")


archives = st.sampled_from((WHEEL, "demo-1.0.tar.gz", "demo-1.0.zip"))


@fuzz
@given(file_name=archives, at=st.integers(0), bits=st.binary(min_size=1, max_size=4), cut=st.integers(0, 60))
def test_a_damaged_distribution_is_inspected_or_refused(file_name: str, at: int, bits: bytes, cut: int) -> None:
    whole = bytearray(archive(file_name))
    at %= len(whole)
    whole[at : at + len(bits)] = bits
    with suppress(Invalid):
        metadata.inspect(io.BytesIO(bytes(whole[: len(whole) - cut])), file_name)


@fuzz
@given(file_name=archives, content=st.binary(max_size=60), path=anything.filter(lambda path: "\0" not in path))
def test_a_distribution_with_any_member_and_any_metadata_is_inspected_or_refused(
    file_name: str, content: bytes, path: str
) -> None:
    text = core_metadata() + content
    is_wheel = file_name == WHEEL
    members = wheel_members(metadata=text) if is_wheel else sdist_members(metadata=text)
    members = {**members, path.encode("utf-8", "replace").decode() or "x": content}
    pack = a_tar if file_name.endswith(".gz") else a_zip
    with suppress(Invalid):
        metadata.inspect(io.BytesIO(pack(members)), file_name)


# --- forms, names, versions -----------------------------------------------------------------------------------------

FIELDS = (
    "name",
    "version",
    "filetype",
    "requires_python",
    "sha256_digest",
    "md5_digest",
    "metadata_version",
    ":action",
)


@fuzz
@given(
    fields=st.dictionaries(st.sampled_from(FIELDS) | anything, st.lists(anything, min_size=1, max_size=2), max_size=4),
    file_name=st.sampled_from((WHEEL, "demo-1.0.tar.gz")) | anything,
)
def test_a_form_of_any_fields_is_read_or_refused(fields: dict[str, list[str]], file_name: str) -> None:
    with suppress(Invalid):
        found = publication.parse({"name": ["demo"], "version": ["1.0"], **fields}, file_name)
        assert file_name == found.file_name


@fuzz
@given(anything)
def test_a_file_name_that_is_accepted_holds_no_path_and_no_line(text: str) -> None:
    with suppress(Invalid):
        names.check_file_name(text)
        assert text.isascii()
        assert text.isprintable()
        assert not set(text) & set("/\\\"'%?#")


@fuzz
@given(anything)
def test_a_version_is_one_for_packaging_too(text: str) -> None:
    # It also takes white space off, which has no place in a stored version.
    def sound() -> bool:
        try:
            return bool(Version(text)) and text == text.strip()
        except InvalidVersion:
            return False

    def accepted() -> bool:
        try:
            names.check_version(text)
        except Invalid:
            return False
        return True

    assert sound() == accepted()


parts = st.text("aB1_.", min_size=1, max_size=6)
versions = st.from_regex(
    r"([0-9]!)?[0-9]{1,2}(\.[0-9]{1,2}){0,2}(rc[0-9])?(\.post[0-9])?(\+[a-z0-9]{1,3})?", fullmatch=True
)


@fuzz
@given(
    name=parts,
    version=versions | parts,
    build=st.sampled_from(("", "-1", "-2b")),
    tag=st.sampled_from(("py3-none-any", "cp311.cp312-abi3-manylinux_2_28_x86_64.linux_x86_64", "py3-any")),
)
def test_a_wheel_name_that_packaging_reads_is_read_alike(name: str, version: str, build: str, tag: str) -> None:
    file_name = f"{name}-{version}{build}-{tag}.whl"
    try:
        theirs = parse_wheel_filename(file_name)
    except InvalidWheelFilename:
        return
    found, number = names.split_wheel(file_name)
    assert (canonicalize_name(theirs[0]), theirs[1]) == (names.normalize(found), Version(number))
