"""Blocks: however a page is cut into them, clients inflate the same bytes."""

from __future__ import annotations

import gzip
import io
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from registry import blocks
from registry.blocks import Block

pieces = st.lists(st.binary(max_size=5000), max_size=6)


@given(pieces)
def test_every_coding_gives_the_page_back(texts: list[bytes]) -> None:
    page = [Block(text) for text in texts or [b""]]
    whole = b"".join(texts)

    assert blocks.identity(page) == whole
    assert gzip.decompress(blocks.gzip(page)) == whole
    frames = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(blocks.zstd(page)), read_across_frames=True)
    assert frames.read() == whole


@given(pieces)
def test_a_gzip_body_is_one_member(texts: list[bytes]) -> None:
    inflater = zlib.decompressobj(wbits=31)

    inflater.decompress(blocks.gzip([Block(text) for text in texts]))

    assert inflater.eof
    assert inflater.unused_data == b""


@given(pieces, pieces)
def test_a_digest_names_the_blocks(first: list[bytes], second: list[bytes]) -> None:
    one, other = (blocks.digest([Block(text) for text in texts]) for texts in (first, second))

    assert (one == other) == (first == second)


def test_a_block_is_compressed_once() -> None:
    block = Block(b"text" * 1000)

    assert block.deflated() is block.deflated()
    assert block.frame() is block.frame()
    assert block.digest is block.digest


@pytest.mark.parametrize("size", [0, 1, 70_000])
def test_a_block_deflates_whatever_its_size(size: int) -> None:
    text = bytes(number * number % 251 for number in range(size))
    assert gzip.decompress(blocks.gzip([Block(text), Block(text)])) == text * 2
