"""The bytes inside a gzip, bzip2, xz or plain file, decompressed piece by piece."""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable, Generator, Iterator
from io import SEEK_END
from typing import BinaryIO, Protocol, cast

from isal import igzip_lib

from registry.archives.limits import MIB, PIECE, Limits
from registry.errors import Invalid

TRUNCATED = "the archive is truncated"
# Tools that compress in parallel write one stream per block. Each costs a few microseconds to set up, so that a
# file of nothing but empty streams has to be refused.
MAX_STREAMS = 10_000
DAMAGED = "the archive is damaged: its compressed data cannot be read"
# Its stub calls the class an instance.
_ISAL_ERROR = cast("type[Exception]", igzip_lib.IsalError)


class Decompressor(Protocol):
    """What the decompressors of gzip, bzip2 and xz have in common."""

    @property
    def eof(self) -> bool:
        """The end of the stream has been reached."""

    @property
    def needs_input(self) -> bool:
        """There is nothing more to get out without putting more in."""

    @property
    def unused_data(self) -> bytes:
        """What was put in and lies behind the end of the stream."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Put `data` in and get at most `max_length` bytes out."""


def gunzip() -> Decompressor:
    """A decompressor for one gzip stream (RFC 1952) that verifies its checksum."""
    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)


def inflate() -> Decompressor:
    """A decompressor for one raw deflate stream (RFC 1951)."""
    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)


def _unxz() -> Decompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=128 * MIB)


PACKINGS: tuple[tuple[bytes, Callable[[], Decompressor]], ...] = (
    (b"\x1f\x8b", gunzip),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\0", _unxz),
)


class Unpacked:
    """The decompressed bytes of a seekable file, read from front to back.

    Never holds more than what is asked for and one piece of 256 KiB. Raises Invalid where the compressed data is
    damaged, truncated, followed by something else, or unpacks to more than the limits allow.
    """

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        self._allowed = limits.unpacked(file.seek(0, SEEK_END))
        file.seek(0)
        self._pieces = _pieces(file)
        self._total = 0
        self._piece = b""
        self._at = 0

    def _more(self) -> bool:
        """Move on to the next piece; False at the end."""
        self._piece, self._at = next(self._pieces, b""), 0
        self._total += len(self._piece)
        if self._total > self._allowed:
            raise Invalid(f"the archive unpacks to more than {self._allowed} bytes")
        return bool(self._piece)

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        found = self._piece[self._at : self._at + size]
        self._at += len(found)
        if len(found) == size:
            return found
        parts, missing = [found], size - len(found)
        while missing and self._more():
            parts.append(self._piece[:missing])
            self._at = len(parts[-1])
            missing -= self._at
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Pass over `size` bytes. Raises Invalid when there are fewer."""
        while size > (left := len(self._piece) - self._at):
            size -= left
            if not self._more():
                raise Invalid(TRUNCATED)
        self._at += size

    def only_zeros_left(self) -> bool:
        """Read up to the end and say whether there was nothing but zeros."""
        rest = self._piece[self._at :]
        while rest == bytes(len(rest)):
            if not self._more():
                return True
            rest = self._piece
        return False


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    """The content of `file`, decompressed according to its first bytes, in pieces of at most 256 KiB."""
    data = file.read(PIECE)
    for magic, decompressor in PACKINGS:
        if data.startswith(magic):
            yield from _decompressed(file, data, magic, decompressor)
            return
    while data:
        yield data
        data = file.read(PIECE)


def _decompressed(
    file: BinaryIO, data: bytes, magic: bytes, decompressor: Callable[[], Decompressor]
) -> Iterator[bytes]:
    """The streams of a file, one after the other. Only zeros may follow a stream: gzip and xz pad with them."""
    for _ in range(MAX_STREAMS):
        unused = yield from _stream(file, data, decompressor())
        data = unused.lstrip(b"\0")
        while len(data) < len(magic) and (more := file.read(PIECE)):
            data = (data + more).lstrip(b"\0")
        if not data:
            return
        if not data.startswith(magic):
            raise Invalid("the archive has data after its end")
    raise Invalid(f"the archive is made of more than {MAX_STREAMS} compressed streams")


def _stream(file: BinaryIO, data: bytes, stream: Decompressor) -> Generator[bytes, None, bytes]:
    """Yield what one stream unpacks to, and return the bytes read behind its end."""
    while not stream.eof:
        if stream.needs_input and not data:
            data = file.read(PIECE)
            if not data:
                raise Invalid(TRUNCATED)
        piece = unpack(stream, data)
        data = b""
        if piece:
            yield piece
    return stream.unused_data


def unpack(stream: Decompressor, data: bytes, most: int = PIECE) -> bytes:
    """At most `most` bytes more of a stream. Raises Invalid when it is damaged."""
    try:
        return stream.decompress(data, most)
    except (_ISAL_ERROR, lzma.LZMAError, OSError, ValueError, EOFError) as error:
        raise Invalid(DAMAGED) from error
