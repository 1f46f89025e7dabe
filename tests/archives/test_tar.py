"""Tar: what common writers produce is read, what readers disagree about or suffer from is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from registry.archives import Limits, TarMember, tar_members
from registry.errors import Invalid

END = bytes(1024)
PACKERS = {"plain": bytes, "gzip": gzip.compress, "bzip2": bz2.compress, "xz": partial(lzma.compress, preset=0)}
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}

Seen = tuple[str, str, int, str, bytes]


def seen(archive: bytes, limits: Limits | None = None) -> list[Seen]:
    """Everything a reader can see of an archive."""
    members = tar_members(io.BytesIO(archive), limits=limits or Limits())
    return [
        (member.name, member.kind, member.size, member.target, member.read(1 << 20) if member.kind == "file" else b"")
        for member in members
    ]


def names(archive: bytes, limits: Limits | None = None) -> list[str]:
    return [member.name for member in tar_members(io.BytesIO(archive), limits=limits or Limits())]


def octal(number: int) -> bytes:
    return b"%011o\0" % number


def block(
    name: bytes = b"pkg/file",
    size: bytes = octal(0),
    flag: bytes = b"0",
    *,
    target: bytes = b"",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    signed: bool = False,
) -> bytes:
    """A header block, with a right checksum."""
    head = bytearray(512)
    for at, field in ((0, name), (100, b"0000644\0"), (124, size), (156, flag), (157, target), (257, magic)):
        head[at : at + len(field)] = field
    head[345 : 345 + len(prefix)] = prefix
    head[148:156] = b" " * 8
    total = sum(byte - 256 if signed and byte > 127 else byte for byte in head)
    head[148:156] = b"%06o\0 " % total
    return bytes(head)


def member(content: bytes, name: bytes = b"pkg/file", flag: bytes = b"0") -> bytes:
    return block(name, octal(len(content)), flag) + content + bytes(-len(content) % 512)


def pax(flag: bytes = b"x", **values: bytes) -> bytes:
    body = b""
    for key, value in values.items():
        record = b" " + key.encode() + b"=" + value + b"\n"
        length = len(record)
        while length != len(b"%d" % length) + len(record):
            length = len(b"%d" % length) + len(record)
        body += b"%d" % length + record
    return member(body, b"PaxHeader", flag)


@contextmanager
def briefly() -> Iterator[None]:
    """Fail when the block takes more than three seconds of CPU time."""
    start = time.process_time()
    yield
    assert time.process_time() - start < 3


@contextmanager
def holding_at_most(memory: int) -> Iterator[None]:
    """Fail when the block has more than `memory` bytes allocated at any moment."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < memory
    finally:
        tracemalloc.stop()


components = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\:"), min_size=1, max_size=70
).filter(lambda text: text not in {".", ".."})
paths = st.lists(components, min_size=1, max_size=4).map("/".join)
contents = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=2000)),
    st.tuples(st.just("directory"), st.just(b"")),
    st.tuples(st.sampled_from(["symlink", "hardlink"]), paths.map(str.encode)),
)
TYPES = {
    "file": tarfile.REGTYPE,
    "directory": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
}


@settings(max_examples=150, deadline=None)
@given(
    entries=st.lists(st.tuples(paths, contents), max_size=8),
    format_=st.sampled_from(sorted(FORMATS)),
    packer=st.sampled_from(sorted(PACKERS)),
)
def test_whatever_tarfile_writes_is_read_back(
    entries: list[tuple[str, tuple[str, bytes]]], format_: str, packer: str
) -> None:
    written = io.BytesIO()
    expected: list[Seen] = []
    try:
        with tarfile.open(fileobj=written, mode="w", format=FORMATS[format_]) as archive:
            for name, (kind, content) in entries:
                info = tarfile.TarInfo(name)
                info.type = TYPES[kind]
                body = content if kind == "file" else b""
                info.size = len(body)
                info.linkname = content.decode() if kind in {"symlink", "hardlink"} else ""
                archive.addfile(info, io.BytesIO(body))
                expected.append((name, kind, len(body), info.linkname, body))
    except ValueError:
        assume(False)  # ustar has no room for the name

    assert expected == seen(PACKERS[packer](written.getvalue()))


SMALL = pax(path=b"pkg/\xc3\xa9") + member(b"one" * 300) + block(b"pkg/dir/", flag=b"5") + member(b"two", b"pkg/b")


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(SMALL) + 1024))
def test_a_plain_archive_cut_anywhere_is_refused_or_shows_whole_members(cut: int) -> None:
    whole = seen(SMALL + END)
    try:
        found = seen((SMALL + END)[:cut])
    except Invalid:
        assert cut < len(SMALL) or cut % 512
    else:
        assert found == whole[: len(found)]


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from(["gzip", "bzip2", "xz"]))
def test_a_compressed_archive_cut_anywhere_is_refused(data: st.DataObject, packer: str) -> None:
    archive = PACKERS[packer](SMALL + END)
    cut = data.draw(st.integers(0, len(archive) - 1))

    with pytest.raises(Invalid):
        seen(archive[:cut])


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(sorted(PACKERS)))
def test_a_damaged_archive_is_refused_or_read_and_nothing_else_happens(data: st.DataObject, packer: str) -> None:
    archive = bytearray(PACKERS[packer](SMALL + END))
    for position in data.draw(st.lists(st.integers(0, len(archive) - 1), min_size=1, max_size=4)):
        archive[position] = data.draw(st.integers(0, 255))

    try:
        found = seen(bytes(archive))
    except Invalid:
        return
    assert packer == "plain" or found == seen(SMALL + END)


@given(st.binary(max_size=2000), st.sampled_from(sorted(PACKERS)))
def test_any_bytes_at_all_are_refused_or_read(data: bytes, packer: str) -> None:
    try:
        found = seen(PACKERS[packer](data))
    except Invalid:
        return
    assert found == []


ACCEPTED = {
    "a v7 archive": (block(b"pkg/a", octal(1), b"\0", magic=b"") + b"x" + bytes(511), [("pkg/a", "file", b"x")]),
    "a v7 directory": (block(b"pkg/", flag=b"\0", magic=b""), [("pkg", "directory", b"")]),
    "a prefix": (block(b"a", prefix=b"pkg/long"), [("pkg/long/a", "file", b"")]),
    "a checksum of signed bytes": (block(b"pkg/\xc3\xa9", signed=True), [("pkg/é", "file", b"")]),
    "a base-256 size": (
        block(size=b"\x80" + bytes(10) + b"\x03") + b"abc" + bytes(509),
        [("pkg/file", "file", b"abc")],
    ),
    "a size with blanks": (block(size=b"         3 \0") + b"abc" + bytes(509), [("pkg/file", "file", b"abc")]),
    "an empty size": (block(size=bytes(12)), [("pkg/file", "file", b"")]),
    "a Latin-1 name": (block(b"pkg/\xe9"), [("pkg/é", "file", b"")]),
    "a size in a pax header": (
        pax(size=b"3") + block() + b"abc" + bytes(509),
        [("pkg/file", "file", b"abc")],
    ),
    "a global pax header": (
        pax(b"g", comment=b"a commit") + pax(b"g", path=b"pkg/all") + block() + pax(path=b"pkg/one") + block(b"b"),
        [("pkg/all", "file", b""), ("pkg/one", "file", b"")],
    ),
    "GNU long names": (
        member(b"pkg/" + b"n" * 200 + b"\0", b"././@LongLink", b"L")
        + member(b"t" * 200 + b"\0", b"././@LongLink", b"K")
        + block(flag=b"2", magic=b"ustar  \0"),
        [("pkg/" + "n" * 200, "symlink", b"")],
    ),
    "a directory with the size of its inode": (
        block(b"pkg/", octal(4096), b"5") + member(b"x"),
        [("pkg", "directory", b""), ("pkg/file", "file", b"x")],
    ),
    "devices and labels": (
        block(b"label", flag=b"V") + block(b"pkg/fifo", flag=b"6"),
        [("label", "other", b""), ("pkg/fifo", "other", b"")],
    ),
    "a carriage return in a name": (block(b"pkg/Icon\r"), [("pkg/Icon\r", "file", b"")]),
    "a name that occurs twice": (
        member(b"1") + member(b"2"),
        [("pkg/file", "file", b"1"), ("pkg/file", "file", b"2")],
    ),
}


@pytest.mark.parametrize("ending", [b"", bytes(512), END, bytes(10240), bytes(100)])
@pytest.mark.parametrize("case", ACCEPTED)
def test_is_accepted_whatever_the_ending(case: str, ending: bytes) -> None:
    archive, expected = ACCEPTED[case]

    assert expected == [(name, kind, content) for name, kind, _, _, content in seen(archive + ending)]


REFUSED = {
    "an empty file": (b"", "truncated"),
    "text": (b"not an archive at all" * 100, "not a tar file"),
    "a wrong checksum": (b"Q" + block()[1:], "wrong checksum"),
    "an old sparse file": (block(flag=b"S"), "sparse"),
    "a pax sparse file": (pax(**{"GNU.sparse.major": b"1"}) + block(), "sparse"),
    "an unknown type": (block(flag=b"Z"), "unknown type b'Z'"),
    "a GNU directory dump": (block(flag=b"D"), "unknown type b'D'"),
    "a link with content": (block(size=octal(512), flag=b"2") + bytes(512), "content where there should be none"),
    "a v7 directory with content": (block(b"d/", octal(512)) + bytes(512), "content where there should be none"),
    "two pax headers for a member": (pax(path=b"a") + pax(size=b"0") + block(), "two headers"),
    "two long names for a member": (member(b"a\0", flag=b"L") + member(b"b\0", flag=b"L") + block(), "two headers"),
    "a long name and a pax path": (member(b"a\0", flag=b"L") + pax(path=b"b") + block(), "two headers"),
    "a prefix that is none": (block(prefix=b"pkg", magic=b"ustar  \0"), "read in two ways"),
    "a parent directory": (block(b"pkg/../../a"), "outside"),
    "a parent directory on Windows": (block(rb"pkg\..\..\a"), "outside"),
    "a parent directory in pax": (pax(path=b"..") + block(), "outside"),
    "an absolute name": (block(b"/etc/passwd"), "outside"),
    "a drive": (block(b"C:/a"), "outside"),
    "no name": (block(b""), "without a name"),
    "no name in pax": (pax(path=b"") + block(), "without a name"),
    "a NUL in a name": (pax(path=b"pkg/a\0b") + block(), "NUL in its name"),
    "a NUL in a target": (pax(linkpath=b"pkg/a\0b") + block(flag=b"2"), "NUL in its target"),
    "a negative size": (block(size=b"\xff" * 12), "size is not a number"),
    "a size in words": (block(size=b"many\0"), "size is not a number"),
    "a decimal size": (block(size=b"00000000009\0"), "size is not a number"),
    "a negative pax size": (pax(size=b"-1") + block(), "size is not a number"),
    "a huge pax size": (pax(size=b"9" * 20) + block(), "larger than"),
    "a pax record without a length": (member(b"path=a\n", flag=b"x") + block(), "without a length"),
    "a pax record of length zero": (member(b"0 a=b\n", flag=b"x") + block(), "damaged pax"),
    "a pax record that is too long": (member(b"99 a=b\n", flag=b"x") + block(), "damaged pax"),
    "a pax record without a key": (member(b"5 =b\n", flag=b"x") + block(), "damaged pax"),
    "a pax record without a newline": (member(b"6 a=bb", flag=b"x") + block(), "damaged pax"),
    "a pax header for nothing": (pax(path=b"a"), "truncated"),
    "a missing padding": (block(size=octal(3)) + b"abc", "truncated"),
    "a missing content": (block(size=octal(3)), "truncated"),
    "an archive behind the archive": (member(b"x") + END + member(b"y") + END, "after its end"),
    "a member behind a lone zero block": (member(b"x") + bytes(512) + member(b"y") + END, "after its end"),
    "rubbish behind gzip": (gzip.compress(SMALL + END) + b"rubbish", "after its end"),
    "rubbish behind the padding of gzip": (gzip.compress(SMALL + END) + bytes(512) + b"rubbish", "after its end"),
    "another packing behind gzip": (gzip.compress(SMALL) + bz2.compress(END), "after its end"),
    "a wrong gzip checksum": (gzip.compress(SMALL + END)[:-8] + bytes(8), "damaged"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_with_a_reason(case: str) -> None:
    archive, reason = REFUSED[case]

    with pytest.raises(Invalid, match=reason):
        seen(archive)


def test_streams_one_after_the_other_are_one_archive() -> None:
    archive = SMALL + END
    for packer in (gzip.compress, bz2.compress, lzma.compress):
        parts = b"".join(packer(archive[at : at + 700]) for at in range(0, len(archive), 700))
        assert seen(archive) == seen(parts + bytes(512))


def test_content_is_read_once_up_to_a_limit_and_not_after_the_iteration_has_moved_on() -> None:
    members = tar_members(io.BytesIO(member(b"12345") + member(b"678", b"pkg/b") + END))

    first = next(members)
    with pytest.raises(Invalid, match="larger than 4 bytes"):
        first.read(4)
    assert first.read(5) == b"12345"
    with pytest.raises(ValueError, match="moved on"):
        first.read(5)
    second = next(members)
    with pytest.raises(ValueError, match="moved on"):
        first.read(5)
    assert isinstance(second, TarMember)
    assert repr(second) == "<TarMember file 'pkg/b', 3 bytes>"
    assert list(members) == []


def test_members_that_are_not_read_are_not_held() -> None:
    archive = gzip.compress(b"".join(member(bytes(8 << 20), b"pkg/%d" % number) for number in range(6)) + END, 1)

    with holding_at_most(4 << 20):
        assert [f"pkg/{number}" for number in range(6)] == names(archive)


def test_too_many_members_are_refused() -> None:
    archive = b"".join(member(b"", b"pkg/%d" % number) for number in range(11)) + END

    assert len(names(archive, Limits(max_members=11))) == 11
    with pytest.raises(Invalid, match="more than 10 members"):
        names(archive, Limits(max_members=10))


def test_a_million_members_are_refused_quickly() -> None:
    archive = gzip.compress(member(b"") * 100_000, 1) * 10

    with briefly(), pytest.raises(Invalid, match="more than 50000 members"):
        names(archive)


def test_a_million_global_headers_are_refused_quickly() -> None:
    archive = gzip.compress(pax(b"g", a=b"") * 100_000, 1) * 10

    with briefly(), pytest.raises(Invalid, match="more than 50000 members"):
        names(archive)


def test_a_giant_pax_header_is_refused_before_it_is_read() -> None:
    archive = gzip.compress(pax(path=bytes(200 << 20)) + block() + END)
    assert len(archive) < 210_000

    with (
        briefly(),
        holding_at_most(4 << 20),
        pytest.raises(Invalid, match="a header of 209715216 bytes, 1048576 are allowed"),
    ):
        names(archive)


def test_a_giant_long_name_is_refused_before_it_is_read() -> None:
    with briefly(), pytest.raises(Invalid, match="a header of 8589934591 bytes"):
        names(block(size=b"77777777777\0", flag=b"L") + bytes(4096))


def test_pax_headers_of_very_many_records_are_refused() -> None:
    archive = gzip.compress(member(b"5 a=\n" * 200_000, flag=b"x") + block(), 1) * 10

    with briefly(), pytest.raises(Invalid, match="too many pax records"):
        names(archive)


def test_ten_gigabytes_of_zeros_are_refused_quickly() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    archive = packer.compress(block(size=b"\x80" + (10 << 30).to_bytes(11, "big"))) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(64 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(64 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    archive += zeros + again * 159
    assert len(archive) < 11 << 20

    with briefly(), pytest.raises(Invalid, match=f"unpacks to more than {200 * len(archive)} bytes"):
        names(archive)


@pytest.mark.parametrize("packer", ["gzip", "bzip2", "xz"])
def test_a_small_archive_may_unpack_to_64_mebibytes(packer: str) -> None:
    packed = PACKERS[packer](member(bytes(63 << 20)))
    larger = packed + PACKERS[packer](bytes(1 << 20))

    with briefly(), holding_at_most(4 << 20):
        assert names(packed) == ["pkg/file"]
    with briefly(), pytest.raises(Invalid, match="unpacks to more than 67108864 bytes"):
        names(larger)


def test_the_unpacked_size_is_limited() -> None:
    with pytest.raises(Invalid, match="unpacks to more than 2000 bytes"):
        names(member(bytes(3000)) + END, Limits(max_unpacked=2000))


def test_very_many_empty_streams_are_refused_quickly() -> None:
    with briefly(), pytest.raises(Invalid, match="more than 10000 compressed streams"):
        names(gzip.compress(b"") * 500_000)


def test_an_xz_dictionary_of_gigabytes_is_refused() -> None:
    archive = lzma.compress(
        member(b"x") + END, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 << 20}]
    )

    with pytest.raises(Invalid, match="damaged"):
        names(archive)
