"""Entries of a zip file, after its framing has been checked."""

from __future__ import annotations

import posixpath
import zlib
from io import SEEK_END
from typing import BinaryIO

from registry.archives import records
from registry.archives.limits import DEFAULT_LIMITS, PIECE, Limits
from registry.archives.packing import TRUNCATED, inflate, unpack
from registry.archives.records import DESCRIPTOR, STORED, Entry
from registry.errors import Invalid


class Zip:
    """A zip file whose records agree with each other. Does not own its file."""

    def __init__(self, file: BinaryIO, entries: dict[str, Entry], starts: dict[str, int]) -> None:
        self._file = file
        self._entries = entries
        self._starts = starts

    def names(self) -> tuple[str, ...]:
        """The names in the order of the central directory; that of a directory ends with a slash."""
        return tuple(self._entries)

    def size(self, name: str) -> int:
        """The unpacked size of an entry in bytes. Raises Invalid when there is none of that name."""
        return self._entry(name).unpacked

    def read(self, name: str, limit: int) -> bytes:
        """The content of an entry.

        Raises Invalid when there is none of that name, when it is larger than `limit` bytes, or when it does not have
        the size and CRC-32 that the central directory says.
        """
        entry = self._entry(name)
        if entry.unpacked > limit:
            raise Invalid(f"{name!r} in the archive is larger than {limit} bytes")
        self._file.seek(self._starts[name])
        # Some programs mark empty entries and directories as deflated without writing the two bytes of an empty stream.
        plain = entry.method == STORED or not entry.packed
        content = self._file.read(entry.packed) if plain else self._inflated(entry)
        if len(content) != entry.unpacked or zlib.crc32(content) != entry.crc:
            raise Invalid(f"{name!r} in the archive is damaged")
        return content

    def _entry(self, name: str) -> Entry:
        entry = self._entries.get(name)
        if entry is None:
            raise Invalid(f"the archive has no {name!r}")
        return entry

    def _inflated(self, entry: Entry) -> bytes:
        """The content of a deflated entry, at most one byte more than it should have."""
        stream = inflate()
        missing, data, content = entry.packed, b"", bytearray()
        while not stream.eof and len(content) <= entry.unpacked:
            if stream.needs_input:
                data = self._file.read(min(missing, PIECE))
                missing -= len(data)
                if not data:
                    raise Invalid(TRUNCATED)
            content += unpack(stream, data, min(PIECE, entry.unpacked + 1 - len(content)))
            data = b""
        if missing or stream.unused_data:
            raise Invalid(f"{entry.name!r} in the archive is damaged")
        return bytes(content)


def open_zip(file: BinaryIO, *, limits: Limits = DEFAULT_LIMITS, strict: bool = False) -> Zip:
    """Check the framing of a seekable zip file and give access to its entries.

    The rules are Warehouse's since the parser confusion attacks of 2025: nothing in front of the first entry, between
    entries or behind the end record; no comments; no name twice; only stored and deflated entries, none encrypted;
    local headers agree with the central directory. All local headers are read, in the order of the file, so that a
    buffered file is read at most once. Raises Invalid.

    strict: also refuse data descriptors, as Warehouse does; tools that write wheels into a pipe need them.
    """
    packed = file.seek(0, SEEK_END)
    directory = records.find_directory(file)
    if directory.entries > limits.max_members:
        raise Invalid(f"the archive has more than {limits.max_members} members")
    entries: dict[str, Entry] = {}
    paths: set[str] = set()
    for entry in records.read_entries(file, directory):
        # `a/b`, `a//b` and `a/b/` are the same place once unpacked.
        path = posixpath.normpath(entry.name)
        if path in paths:
            raise Invalid(f"the archive has two entries for {entry.name!r}")
        if strict and entry.flags & DESCRIPTOR:
            raise Invalid(f"the archive's entry {entry.name!r} has a data descriptor")
        paths.add(path)
        entries[entry.name] = entry
    allowed = limits.unpacked(packed)
    if sum(entry.unpacked for entry in entries.values()) > allowed:
        raise Invalid(f"the archive unpacks to more than {allowed} bytes")
    return Zip(file, entries, _check_layout(file, entries, directory.offset))


def _check_layout(file: BinaryIO, entries: dict[str, Entry], end: int) -> dict[str, int]:
    """Check that local entries fill the file up to `end` without gaps; returns where the content of each begins."""
    ordered = sorted(entries.values(), key=lambda entry: entry.offset)
    offsets = [entry.offset for entry in ordered] + [end]
    if offsets[0] != 0:
        raise Invalid("the archive has data in front of its first entry")
    return {
        entry.name: records.check_local(file, entry, following)
        for entry, following in zip(ordered, offsets[1:], strict=True)
    }
