"""Zip: what common writers produce is read, what readers disagree about or suffer from is refused."""

from __future__ import annotations

import io
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from registry.archives import Limits, open_zip
from registry.errors import Invalid


def everything(archive: bytes, limits: Limits | None = None, *, strict: bool = False) -> dict[str, bytes]:
    found = open_zip(io.BytesIO(archive), limits=limits or Limits(), strict=strict)
    return {name: found.read(name, 64 << 20) for name in found.names()}


def written(
    entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, *, zip64: bool = False, piped: bool = False
) -> bytes:
    """A zip file as the standard library writes it; into a pipe it uses data descriptors."""
    target = Pipe() if piped else io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in entries.items():
            if name.endswith("/"):
                archive.mkdir(name)
                continue
            with archive.open(name, "w", force_zip64=zip64) as entry:
                entry.write(content)
    return target.getvalue()


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise io.UnsupportedOperation

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation


@contextmanager
def briefly() -> Iterator[None]:
    """Fail when the block takes more than three seconds of CPU time."""
    start = time.process_time()
    yield
    assert time.process_time() - start < 3


def raw(
    name: bytes = b"a.py",
    content: bytes = b"content",
    method: int = 8,
    flags: int = 0,
    *,
    local: bytes | None = None,
    extra: bytes = b"",
    comment: bytes = b"",
    unpacked: int | None = None,
    local_unpacked: int | None = None,
    local_crc: int | None = None,
    gap: bytes = b"",
    offset: int | None = None,
) -> Callable[[int], tuple[bytes, bytes]]:
    """One entry: a function from its offset to its local part and its central part."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(content) + deflate.flush() if method == 8 else content
    crc = zlib.crc32(content)
    size = len(content) if unpacked is None else unpacked
    local_size = size if local_unpacked is None else local_unpacked
    local_name = name if local is None else local

    def at(position: int) -> tuple[bytes, bytes]:
        numbers = (crc if local_crc is None else local_crc, len(packed), local_size, len(local_name), len(extra))
        head = struct.pack("<4s5H3L2H", b"PK\3\4", 20, flags, method, 0, 0, *numbers)
        numbers = (crc, len(packed), size, len(name), len(extra), len(comment), 0, 0)
        central = struct.pack("<4s6H3L5H", b"PK\1\2", 20, 20, flags, method, 0, 0, *numbers)
        central += struct.pack("<LL", 0, position if offset is None else offset)
        return head + local_name + extra + packed + gap, central + name + extra + comment

    return at


def assembled(*entries: Callable[[int], tuple[bytes, bytes]], front: bytes = b"", count: int | None = None) -> bytes:
    body, directory = front, b""
    for entry in entries:
        local, central = entry(len(body))
        body += local
        directory += central
    number = len(entries) if count is None else count
    return body + directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, number, number, len(directory), len(body), 0)


components = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\:"), min_size=1, max_size=20
).filter(lambda text: text not in {".", ".."})
paths = st.lists(components, min_size=1, max_size=3).map("/".join)


@settings(max_examples=200, deadline=None)
@given(
    entries=st.dictionaries(paths, st.binary(max_size=2000), max_size=8),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    zip64=st.booleans(),
    piped=st.booleans(),
)
def test_whatever_zipfile_writes_is_read_back(
    entries: dict[str, bytes], method: int, *, zip64: bool, piped: bool
) -> None:
    archive = written({"dir/": b"", **entries}, method, zip64=zip64, piped=piped)
    assume("dir" not in entries)

    found = open_zip(io.BytesIO(archive))

    assert ("dir/", *entries) == found.names()
    assert {"dir/": b"", **entries} == everything(archive)
    assert [0, *map(len, entries.values())] == [found.size(name) for name in found.names()]


SMALL = written({"pkg/": b"", "pkg/a.py": b"one" * 100, "pkg/\xe9.py": b"", "b": bytes(range(256))})
PIPED = written({"pkg/a.py": b"one" * 100, "b": bytes(range(256))}, piped=True)


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from([SMALL, PIPED]))
def test_an_archive_cut_anywhere_is_refused(data: st.DataObject, archive: bytes) -> None:
    first = data.draw(st.integers(0, len(archive)))
    last = data.draw(st.integers(first, len(archive)).filter(lambda last: last - first < len(archive)))

    with pytest.raises(Invalid):
        everything(archive[first:last])


@settings(max_examples=400, deadline=None)
@given(st.data(), st.sampled_from([SMALL, PIPED]))
def test_a_damaged_archive_is_refused_or_shows_the_same(data: st.DataObject, archive: bytes) -> None:
    damaged = bytearray(archive)
    for position in data.draw(st.lists(st.integers(0, len(archive) - 1), min_size=1, max_size=3)):
        damaged[position] = data.draw(st.integers(0, 255))

    try:
        found = everything(bytes(damaged))
    except Invalid:
        return
    assert found == everything(archive)


@given(st.binary(max_size=300), st.sampled_from([b"", b"PK\5\6" + bytes(18), b"PK\6\7" + bytes(16)]))
def test_any_bytes_at_all_are_refused_or_empty(data: bytes, ending: bytes) -> None:
    try:
        found = everything(data + ending)
    except Invalid:
        return
    assert found == {}


def unicode_path(name: bytes) -> bytes:
    return struct.pack("<HHBL", 0x7075, 5 + len(name), 1, 0) + name


ACCEPTED = {
    "an empty archive": (assembled(), {}),
    "an old name": (assembled(raw(b"caf\x82")), {"café": b"content"}),
    "a UTF-8 name": (assembled(raw(b"caf\xc3\xa9", flags=0x800)), {"café": b"content"}),
    "an extra field with padding": (assembled(raw(extra=b"\x55\x54\x01\x00x\0\0\0")), {"a.py": b"content"}),
    "a unicode path that agrees": (assembled(raw(extra=unicode_path(b"a.py"))), {"a.py": b"content"}),
    "an unused zip64 field": (assembled(raw(extra=struct.pack("<HHQ", 1, 8, 7))), {"a.py": b"content"}),
    "a 32-bit descriptor without magic": (
        assembled(
            raw(
                content=b"x",
                method=0,
                flags=8,
                local_crc=zlib.crc32(b"x"),
                gap=struct.pack("<3L", zlib.crc32(b"x"), 1, 1),
            )
        ),
        {"a.py": b"x"},
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_is_accepted(case: str) -> None:
    archive, expected = ACCEPTED[case]

    assert expected == everything(archive)


REFUSED = {
    "nothing": (b"", "not a zip file"),
    "text": (b"not a zip file" * 20, "not a zip file"),
    "data in front": (b"#!/bin/sh\n" + SMALL, "not where it should be"),
    "data in front that the offsets know of": (assembled(raw(), front=b"#!/bin/sh\n"), "in front of its first entry"),
    "data behind": (SMALL + b"x", "data after its end"),
    "an archive comment": (SMALL[:-2] + b"\1\0x", "has a comment"),
    "an entry comment": (assembled(raw(comment=b"x")), "has a comment"),
    "the same name twice": (assembled(raw(), raw()), "two entries for 'a.py'"),
    "the same place twice": (assembled(raw(b"a/b"), raw(b"a//b")), "two entries for 'a//b'"),
    "a file that is a directory": (assembled(raw(b"a"), raw(b"a/", b"", 0)), "two entries for 'a/'"),
    "an encrypted entry": (assembled(raw(flags=1)), "encrypted"),
    "a strongly encrypted entry": (assembled(raw(flags=0x41)), "encrypted"),
    "another compression": (assembled(raw(method=12)), "neither stored nor deflated"),
    "a parent directory": (assembled(raw(b"pkg/../../a")), "outside"),
    "an absolute name": (assembled(raw(b"/etc/passwd")), "outside"),
    "a drive": (assembled(raw(b"C:/a")), "outside"),
    "a backslash": (assembled(raw(rb"pkg\a")), "backslash"),
    "a control character": (assembled(raw(b"pkg/a\n")), "control character"),
    "a NUL": (assembled(raw(b"pkg/a\0.py")), "NUL"),
    "no name": (assembled(raw(b"")), "without a name"),
    "a name that is not UTF-8": (assembled(raw(b"\xff", flags=0x800)), "not UTF-8"),
    "two names": (assembled(raw(local=b"b.py")), "differs from its local header"),
    "a second name in an extra field": (assembled(raw(extra=unicode_path(b"b.py"))), "two names"),
    "two unicode paths": (assembled(raw(extra=unicode_path(b"b.py") + unicode_path(b"a.py"))), "repeated extra field"),
    "a damaged extra field": (assembled(raw(extra=b"\1\0\xff\0")), "damaged or repeated"),
    "a missing zip64 field": (assembled(raw(unpacked=0xFFFFFFFF)), "size is missing"),
    "two sizes": (assembled(raw(local_unpacked=8)), "differs from its local header"),
    "two checksums": (assembled(raw(local_crc=8)), "differs from its local header"),
    "a stored entry of two sizes": (assembled(raw(method=0, unpacked=8)), "contradicting sizes"),
    "a hidden entry": (assembled(raw(gap=b"PK\3\4hidden")), "hidden data"),
    "a descriptor nobody announced": (assembled(raw(gap=struct.pack("<4L", 0x08074B50, 0, 0, 0))), "hidden data"),
    "a descriptor that differs": (assembled(raw(flags=8, gap=struct.pack("<4L", 0x08074B50, 0, 9, 7))), "hidden data"),
    "a missing descriptor": (assembled(raw(flags=8)), "lacks its data descriptor"),
    "entries that share their data": (assembled(raw(), raw(b"b.py", offset=0)), "overlaps"),
    "an entry inside another one": (assembled(raw(content=SMALL, method=0), raw(b"b.py", offset=34)), "overlaps"),
    "an entry that is nowhere": (assembled(raw(), raw(b"b.py", offset=1 << 30)), "overlaps|not where"),
    "more entries than the end record says": (assembled(raw(), raw(b"b.py"), count=1), "more entries than it says"),
    "fewer entries than the end record says": (assembled(raw(), count=2), "damaged"),
    "a size that is too small": (assembled(raw(unpacked=6)), "'a.py' in the archive is damaged"),
    "a size that is too large": (assembled(raw(unpacked=8)), "'a.py' in the archive is damaged"),
    "a wrong checksum": (assembled(raw(method=0)).replace(b"content", b"Content"), "damaged"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_with_a_reason(case: str) -> None:
    archive, reason = REFUSED[case]

    with pytest.raises(Invalid, match=reason):
        everything(archive)


def test_data_descriptors_are_refused_when_warehouse_would() -> None:
    assert {"pkg/a.py": b"one" * 100, "b": bytes(range(256))} == everything(PIPED)
    with pytest.raises(Invalid, match=r"'pkg/a.py' has a data descriptor"):
        everything(PIPED, strict=True)
    assert everything(SMALL) == everything(SMALL, strict=True)


def test_an_entry_is_read_up_to_a_limit_and_by_its_name_only() -> None:
    found = open_zip(io.BytesIO(SMALL))

    assert found.read("pkg/a.py", 300) == b"one" * 100
    assert found.read("pkg/a.py", 300) == b"one" * 100
    with pytest.raises(Invalid, match=r"'pkg/a.py' in the archive is larger than 299 bytes"):
        found.read("pkg/a.py", 299)
    with pytest.raises(Invalid, match=r"the archive has no 'pkg/b.py'"):
        found.read("pkg/b.py", 300)


def test_the_end_record_of_zip64_is_understood_and_must_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    entries = {"a": b"1", "b": b"2"}
    archive = written(entries)
    assert b"PK\6\6" in archive

    assert entries == everything(archive)
    at = archive.index(b"PK\6\6")
    for position in (*range(at, at + 12), *range(at + 16, at + 76)):
        damaged = bytearray(archive)
        damaged[position] ^= 0x15
        with pytest.raises(Invalid):
            everything(bytes(damaged))


def test_sixty_thousand_entries_are_refused_before_they_are_read() -> None:
    archive = written({f"{number}": b"" for number in range(60_000)}, zipfile.ZIP_STORED)
    file = io.BytesIO(archive)

    with briefly(), pytest.raises(Invalid, match="more than 50000 members"):
        open_zip(file)
    assert file.tell() == len(archive)


def test_a_count_of_entries_that_lies_is_refused_before_anything_is_allocated() -> None:
    end = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1 << 40, 1 << 40, 1 << 50, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)
    last = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)

    with pytest.raises(Invalid):
        open_zip(io.BytesIO(end + locator + last))


def test_a_bomb_that_declares_its_size_is_refused_at_once() -> None:
    entries = [raw(b"%d" % number, bytes(1 << 20), unpacked=0xFFFFFFFE) for number in range(3)]

    with briefly(), pytest.raises(Invalid, match="unpacks to more than"):
        open_zip(io.BytesIO(assembled(*entries)))


def test_a_bomb_that_lies_about_its_size_is_stopped_while_it_is_read() -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    chunk = deflate.compress(bytes(64 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    again = deflate.compress(bytes(64 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    packed = chunk + again * 60

    def lying(at: int) -> tuple[bytes, bytes]:
        numbers = (0, len(packed), 10, 1)
        head = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, *numbers, 0) + b"a"
        return head + packed, struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 0, *numbers, 0, 0, 0, 0, 0, at
        ) + b"a"

    found = open_zip(io.BytesIO(assembled(lying)))
    with briefly(), pytest.raises(Invalid, match="'a' in the archive is damaged"):
        found.read("a", 10)


def test_thousands_of_entries_that_share_one_kernel_are_refused_quickly() -> None:
    kernel = raw(b"0", bytes(1 << 20))
    sharing = [raw(b"%d" % number, b"", offset=0) for number in range(1, 20_000)]
    archive = assembled(kernel, *sharing)

    with briefly(), pytest.raises(Invalid, match="overlaps another one"):
        open_zip(io.BytesIO(archive))


def test_local_headers_are_read_in_the_order_of_the_file() -> None:
    entries = {f"{number}": bytes(1000) for number in range(300)}
    archive = written(entries, zipfile.ZIP_STORED)

    class Counting(io.BytesIO):
        reads = 0

        def readinto(self, buffer: object, /) -> int:  # type: ignore[override]
            Counting.reads += 1
            return super().readinto(buffer)  # type: ignore[arg-type]

    open_zip(io.BufferedReader(Counting(archive), 64 * 1024))  # type: ignore[arg-type]

    assert len(archive) // (64 * 1024) + 6 >= Counting.reads
