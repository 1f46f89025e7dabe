"""Members of a tar file, read one after the other: v7, ustar, pax and GNU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Literal

from registry.archives import headers
from registry.archives.headers import BLOCK, Header
from registry.archives.limits import DEFAULT_LIMITS, Limits, check_path
from registry.archives.packing import TRUNCATED, Unpacked
from registry.errors import Invalid

Kind = Literal["file", "directory", "symlink", "hardlink", "other"]

# The type flags every reader agrees on. Others are refused: what is a regular file to `tarfile` is ignored by npm.
KINDS: dict[bytes, Kind] = {
    b"0": "file",
    b"\0": "file",  # v7
    b"7": "file",  # contiguous
    b"1": "hardlink",
    b"2": "symlink",
    b"3": "other",  # character device
    b"4": "other",  # block device
    b"5": "directory",
    b"6": "other",  # FIFO
    b"V": "other",  # GNU volume label
}
# Headers that say something about the next member, with the pax key they amount to.
PAX_LOCAL = frozenset({b"x", b"X"})  # X: Solaris
PAX_GLOBAL = b"g"
GNU_LONG = {b"L": b"path", b"K": b"linkpath"}
# The pax keys that decide what is unpacked; the others are times, owners and comments.
KEYS = frozenset({b"path", b"linkpath", b"size"})
# Usual are fewer than ten. Early npm wrote fifty, but those packages are far from the largest number of members.
RECORDS_PER_MEMBER = 20


class TarMember:
    """One member: its name as stored, without the slash behind a directory, and its size in bytes.

    `target` is what a link points to, empty for others. Only files have a size other than 0.
    """

    __slots__ = ("_walker", "kind", "name", "size", "target")

    def __init__(self, walker: _Walker, kind: Kind, name: str, size: int, target: str) -> None:
        self._walker = walker
        self.kind = kind
        self.name = name
        self.size = size
        self.target = target

    def __repr__(self) -> str:
        return f"<TarMember {self.kind} {self.name!r}, {self.size} bytes>"

    def read(self, limit: int) -> bytes:
        """The content; once, and before the iteration moves on. Raises Invalid when it is larger than `limit` bytes."""
        return self._walker.content(self, limit)


def tar_members(file: BinaryIO, *, limits: Limits = DEFAULT_LIMITS) -> Iterator[TarMember]:
    """The members of a seekable tar file, plain or in gzip, bzip2 or xz.

    Raises Invalid for what is damaged, truncated or costs more than `limits`; for what readers understand in different
    ways (unknown type flags, sparse files, links with content, a name given twice, data after the end); and for names
    outside of the archive's own directory. The archive has been verified only when the iteration is over. That the
    two zero blocks at the end are missing is accepted: real packages lack them. Names that occur twice are legal in
    tar, and left to the caller.
    """
    walker = _Walker(Unpacked(file, limits), limits)
    while (member := walker.next()) is not None:
        yield member


class _Walker:
    def __init__(self, stream: Unpacked, limits: Limits) -> None:
        self._stream = stream
        self._limits = limits
        self._members_left = limits.max_members
        self._records_left = limits.max_members * RECORDS_PER_MEMBER
        self._everywhere: dict[bytes, bytes] = {}  # from global pax headers
        self._next: dict[bytes, bytes] = {}  # for the next member only
        self._announced: set[bytes] = set()  # the type flags of the headers which said so
        self._current: TarMember | None = None
        self._content_left = 0  # of the current member, padding included
        self._empty = True

    def next(self) -> TarMember | None:
        """Pass over what is left of the current member and find the next one; None at the end of the archive."""
        self._current = None
        self._stream.skip(self._content_left)
        self._content_left = 0
        while (header := self._header()) is not None:
            if header.type in PAX_LOCAL:
                self._announce(b"x", self._pax(header))
            elif header.type == PAX_GLOBAL:
                self._count_member()
                self._everywhere |= self._pax(header)
            elif header.type in GNU_LONG:
                name = headers.until_nul(self._body(header))
                self._announce(header.type, {GNU_LONG[header.type]: name})
            else:
                self._count_member()
                self._current = self._member(header)
                return self._current
        if self._announced:
            raise Invalid(TRUNCATED)
        return None

    def content(self, member: TarMember, limit: int) -> bytes:
        if member is not self._current:
            raise ValueError(f"{member.name} cannot be read: the iteration has moved on")
        if member.size > limit:
            raise Invalid(f"{member.name!r} in the archive is larger than {limit} bytes")
        self._current = None
        found = self._stream.read(member.size)
        self._content_left -= len(found)
        if len(found) < member.size:
            raise Invalid(TRUNCATED)
        return found

    def _header(self) -> Header | None:
        block = self._stream.read(BLOCK)
        if not block and not self._empty:
            return None
        self._empty = False
        if block and block == bytes(len(block)):
            if not self._stream.only_zeros_left():
                raise Invalid("the archive has data after its end")
            return None
        if len(block) < BLOCK:
            raise Invalid(TRUNCATED)
        return headers.parse_header(block)

    def _body(self, header: Header) -> bytes:
        if header.size > self._limits.max_header:
            raise Invalid(f"the archive has a header of {header.size} bytes, {self._limits.max_header} are allowed")
        body = self._stream.read(header.size)
        self._stream.skip(-header.size % BLOCK)
        if len(body) < header.size:
            raise Invalid(TRUNCATED)
        return body

    def _pax(self, header: Header) -> dict[bytes, bytes]:
        found = {}
        for key, value in headers.pax_records(self._body(header)):
            self._records_left -= 1
            if self._records_left < 0:
                raise Invalid("the archive has too many pax records")
            if key.startswith(b"GNU.sparse."):
                raise Invalid("the archive has a sparse file, which is not supported")
            if key in KEYS:
                found[key] = value
        return found

    def _announce(self, source: bytes, values: dict[bytes, bytes]) -> None:
        """Keep what a header says about the next member. Of two that say the same, readers believe different ones."""
        if source in self._announced or self._next.keys() & values.keys():
            raise Invalid("the archive has two headers that describe the same member")
        self._announced.add(source)
        self._next |= values

    def _count_member(self) -> None:
        self._members_left -= 1
        if self._members_left < 0:
            raise Invalid(f"the archive has more than {self._limits.max_members} members")

    def _member(self, header: Header) -> TarMember:
        said = self._everywhere | self._next
        self._next, self._announced = {}, set()
        name = headers.text(said[b"path"]) if b"path" in said else header.name
        target = headers.text(said[b"linkpath"]) if b"linkpath" in said else header.target
        size = headers.pax_size(said[b"size"]) if b"size" in said else header.size
        check_path(name)
        kind = self._kind(header.type, name)
        if kind == "directory":
            # Some programs note the size of the directory itself; there is no content.
            size = 0 if header.type == b"5" else size
        if kind != "file" and size:
            raise Invalid(f"the archive has content where there should be none: {name!r}")
        if "\0" in target:
            raise Invalid(f"the archive has a link with a NUL in its target: {name!r}")
        self._content_left = size + -size % BLOCK
        stored = (name.rstrip("/") or name) if kind == "directory" else name
        return TarMember(self, kind, stored, size, target if kind in {"symlink", "hardlink"} else "")

    def _kind(self, flag: bytes, name: str) -> Kind:
        if flag == b"S":
            raise Invalid(f"the archive has a sparse file, which is not supported: {name!r}")
        if flag not in KINDS:
            raise Invalid(f"the archive has a member of an unknown type {flag!r}: {name!r}")
        kind = KINDS[flag]
        # v7 knows no directories but by their name, and writers kept that habit.
        return "directory" if kind == "file" and name.endswith("/") else kind
