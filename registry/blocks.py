"""Blocks: the pieces of a page, each compressed at most once in each coding.

A large page that grows at its end keeps the blocks before it. A gzip body is one member made of separately deflated
blocks, each ended with a full flush: several members break pnpm 12 and deno. A zstd body is one frame for each block;
both clients that ask for zstd on large pages read that (npm.md, A.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import zstandard
from isal import isal_zlib

# ISA-L at its level 2: a tenth of zlib's time at level 6 for about the same size.
_LEVEL = 2
_ZSTD_LEVEL = 3
_RAW_DEFLATE = -15
# RFC 1952: magic, deflate, no flags, no time, no extra flags, unknown system.
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
# RFC 1951: an empty block of fixed codes with the bit of the last block.
_DEFLATE_END = b"\x03\x00"


Encoding = Literal["identity", "gzip", "zstd"]


class Block:
    """Some bytes of a page, immutable, and what they were compressed to."""

    __slots__ = ("_deflated", "_digest", "_frame", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._deflated: bytes | None = None
        self._frame: bytes | None = None
        self._digest: bytes | None = None

    @property
    def digest(self) -> bytes:
        """SHA-256 of the raw bytes."""
        if self._digest is None:
            self._digest = hashlib.sha256(self.raw).digest()
        return self._digest

    def work(self, encoding: Encoding) -> int:
        """How many bytes are still to be hashed, or compressed for a content coding."""
        ready = {"identity": self.raw, "gzip": self._deflated, "zstd": self._frame}[encoding]
        return len(self.raw) if self._digest is None or ready is None else 0

    def deflated(self) -> bytes:
        """Deflated by itself, up to a byte boundary."""
        if self._deflated is None:
            compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _RAW_DEFLATE)
            self._deflated = compressor.compress(self.raw) + compressor.flush(isal_zlib.Z_FULL_FLUSH)
        return self._deflated

    def frame(self) -> bytes:
        """As a zstd frame."""
        if self._frame is None:
            self._frame = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(self.raw)
        return self._frame


def identity(blocks: Sequence[Block]) -> bytes:
    """The page as it is."""
    return blocks[0].raw if len(blocks) == 1 else b"".join(block.raw for block in blocks)


def gzip(blocks: Sequence[Block]) -> bytes:
    """The page as one gzip member."""
    checksum, size = 0, 0
    for block in blocks:
        checksum = isal_zlib.crc32(block.raw, checksum)
        size += len(block.raw)
    tail = checksum.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")
    return b"".join([_GZIP_HEAD, *(block.deflated() for block in blocks), _DEFLATE_END, tail])


def zstd(blocks: Sequence[Block]) -> bytes:
    """The page as zstd frames."""
    return b"".join(block.frame() for block in blocks)


def digest(blocks: Sequence[Block]) -> bytes:
    """Names the content: SHA-256 over the digests of the blocks."""
    return hashlib.sha256(b"".join(block.digest for block in blocks)).digest()
