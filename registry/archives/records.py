"""Records of a zip file (PKWARE's APPNOTE 6.3): its end, the central directory, local headers, data descriptors."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import SEEK_END
from typing import BinaryIO

from registry.archives.limits import MIB, check_path
from registry.errors import Invalid

STORED, DEFLATED = 0, 8
# General purpose bits.
ENCRYPTED, DESCRIPTOR, STRONG, UTF8, MASKED = 0x1, 0x8, 0x40, 0x800, 0x2000

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_FIELD = struct.Struct("<2H")
_ALL = 0xFFFFFFFF  # the value is in the zip64 field
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
MAX_DIRECTORY = 64 * MIB


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the central directory lies: `offset` and `size` in bytes, `entries` it says it has."""

    offset: int
    size: int
    entries: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the central directory; `packed` and `unpacked` are its sizes, `offset` that of its local header."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    unpacked: int
    offset: int


def find_directory(file: BinaryIO) -> Directory:
    """Read the end-of-central-directory record, of zip64 too.

    The file must end with it: an archive comment would be a place for a second one, and readers differ in which they
    take. The central directory must end where it begins, so that nothing is hidden in between.
    """
    size = file.seek(0, SEEK_END)
    start = max(0, size - _END.size - _LOCATOR.size - _END64.size)
    file.seek(start)
    tail = file.read(size - start)
    if len(tail) < _END.size or not tail[-_END.size :].startswith(b"PK\5\6"):
        raise Invalid("the archive is not a zip file, or is truncated, or has a comment or data after its end")
    _, disk, first_disk, here, entries, length, offset, comment = _END.unpack(tail[-_END.size :])
    end = size - _END.size
    found = Directory(offset, length, entries)
    spread = (disk, first_disk, here) != (0, 0, entries)
    if tail[: -_END.size][-_LOCATOR.size :].startswith(b"PK\6\7"):
        found = _directory64(tail, end, found)
        end -= _LOCATOR.size + _END64.size
    if comment or spread or found.offset + found.size != end:
        raise Invalid("the archive's central directory is not where it should be")
    return found


def _directory64(tail: bytes, end: int, small: Directory) -> Directory:
    """Read the zip64 records. Where the record of 1989 has a value as well, both must agree."""
    if len(tail) < _END.size + _LOCATOR.size + _END64.size:
        raise Invalid("the archive is truncated")
    _, disk, position, disks = _LOCATOR.unpack_from(tail, _END64.size)
    magic, length, _, _, this, first, here, entries, size, offset = _END64.unpack_from(tail)
    framed = magic == b"PK\6\6" and length == _END64.size - 12 and position == end - _LOCATOR.size - _END64.size
    single = (disk, this, first, here) == (0, 0, 0, entries) and disks <= 1
    agree = small.entries in {entries, 0xFFFF} and small.size in {size, _ALL} and small.offset in {offset, _ALL}
    if not (framed and single and agree):
        raise Invalid("the archive's zip64 records are damaged or contradict the others")
    return Directory(offset, size, entries)


def read_entries(file: BinaryIO, directory: Directory) -> Iterator[Entry]:
    """Read the central directory. It must have exactly the entries and the size that its end record says."""
    if directory.size > MAX_DIRECTORY:
        raise Invalid(f"the archive's central directory is larger than {MAX_DIRECTORY} bytes")
    file.seek(directory.offset)
    data = file.read(directory.size)
    at = 0
    for _ in range(directory.entries):
        if len(data) - at < _CENTRAL.size or not data.startswith(b"PK\1\2", at):
            raise Invalid("the archive's central directory is damaged")
        entry, at = _entry(data, at)
        yield entry
    if at != len(data):
        raise Invalid("the archive's central directory has more entries than it says")


def _entry(data: bytes, at: int) -> tuple[Entry, int]:
    """Read the entry at `at`; also where the next one begins."""
    (_, _, _, flags, method, _, _, crc, packed, unpacked, name_size, extra_size, comment_size, disk, _, _, offset) = (
        _CENTRAL.unpack_from(data, at)
    )
    at += _CENTRAL.size
    raw_name = data[at : at + name_size]
    extra = data[at + name_size : at + name_size + extra_size]
    at += name_size + extra_size
    name = _name(raw_name, flags, extra)
    if at > len(data) or comment_size or disk:
        raise Invalid(f"the archive's entry {name!r} is damaged, or has a comment")
    if flags & (ENCRYPTED | STRONG | MASKED):
        raise Invalid(f"the archive's entry {name!r} is encrypted")
    if method not in {STORED, DEFLATED}:
        raise Invalid(f"the archive's entry {name!r} is neither stored nor deflated")
    unpacked, packed, offset = _wide(extra, (unpacked, packed, offset))
    if method == STORED and packed != unpacked:
        raise Invalid(f"the archive's entry {name!r} has contradicting sizes")
    return Entry(name, raw_name, flags, method, crc, packed, unpacked, offset), at


def _name(raw: bytes, flags: int, extra: bytes) -> str:
    """The name of an entry: UTF-8 or code page 437 (APPNOTE, appendix D), with forward slashes (4.4.17.1)."""
    try:
        name = raw.decode("utf-8" if flags & UTF8 else "cp437")
    except UnicodeDecodeError as error:
        raise Invalid(f"the archive has an entry whose name is not UTF-8: {raw!r}") from error
    check_path(name)
    if _CONTROL.search(name):
        raise Invalid(f"the archive has an entry with a control character or backslash in its name: {name!r}")
    other = _fields(extra).get(_UNICODE_PATH)
    # Version and CRC-32 of the other name, then this one. Newer readers prefer it.
    if other is not None and other[5:] != name.encode():
        raise Invalid(f"the archive has an entry with two names: {name!r}")
    return name


def _fields(extra: bytes) -> dict[int, bytes]:
    """The extra fields by id. Up to three bytes of padding behind them are usual."""
    found: dict[int, bytes] = {}
    at = 0
    while len(extra) - at >= _FIELD.size:
        key, size = _FIELD.unpack_from(extra, at)
        at += _FIELD.size + size
        if at > len(extra) or (key in found and key in {_ZIP64, _UNICODE_PATH}):
            raise Invalid("the archive has an entry with a damaged or repeated extra field")
        found[key] = extra[at - size : at]
    return found


def _wide(extra: bytes, values: tuple[int, ...]) -> list[int]:
    """`values`, each that did not fit into 32 bits taken from the zip64 field, which has them in the same order."""
    if _ALL not in values:
        return list(values)
    field = _fields(extra).get(_ZIP64, b"")
    missing = values.count(_ALL)
    if len(field) < 8 * missing:
        raise Invalid("the archive has an entry whose size is missing")
    wide = iter(struct.unpack_from(f"<{missing}Q", field))
    return [next(wide) if value == _ALL else value for value in values]


def check_local(file: BinaryIO, entry: Entry, following: int) -> int:
    """Compare the local header of `entry` with the central directory; returns where its content begins.

    The content, and the data descriptor if there is one, must end at `following`, the offset of what comes next:
    entries neither overlap (one kilobyte of data shared by thousands of them) nor leave room for hidden ones.
    """
    file.seek(entry.offset)
    block = file.read(_LOCAL.size)
    if len(block) < _LOCAL.size or not block.startswith(b"PK\3\4"):
        raise Invalid(f"the archive's entry {entry.name!r} is not where it should be")
    _, _, flags, method, _, _, crc, packed, unpacked, name_size, extra_size = _LOCAL.unpack(block)
    raw_name, extra = file.read(name_size), file.read(extra_size)
    unpacked, packed = _wide(extra, (unpacked, packed))
    expected = (entry.crc, entry.packed, entry.unpacked)
    deferred = bool(flags & DESCRIPTOR)
    agree = (
        raw_name == entry.raw_name
        and method == entry.method
        and not (flags ^ entry.flags) & (ENCRYPTED | DESCRIPTOR | UTF8)
        and ((crc, packed, unpacked) == expected or (deferred and (crc, packed, unpacked) == (0, 0, 0)))
    )
    other = _fields(extra).get(_UNICODE_PATH)
    if not agree or (other is not None and other[5:] != entry.name.encode()):
        raise Invalid(f"the archive's entry {entry.name!r} differs from its local header")
    start: int = entry.offset + _LOCAL.size + name_size + extra_size
    room = following - start - entry.packed
    if room and not (deferred and _descriptor_fits(file, start + entry.packed, room, expected)):
        raise Invalid(f"the archive's entry {entry.name!r} overlaps another one or is followed by hidden data")
    if deferred and not room:
        raise Invalid(f"the archive's entry {entry.name!r} lacks its data descriptor")
    return start


def _descriptor_fits(file: BinaryIO, at: int, size: int, expected: tuple[int, int, int]) -> bool:
    """Whether `size` bytes at `at` are a data descriptor with these values: with magic or without, of 32 or 64 bits."""
    if size not in {12, 16, 20, 24}:
        return False
    file.seek(at)
    found = file.read(size)
    if size in {16, 24}:
        if not found.startswith(b"PK\7\x08"):
            return False
        found = found[4:]
    values: tuple[int, ...] = struct.unpack("<3L" if len(found) == 12 else "<L2Q", found)
    return values == expected
