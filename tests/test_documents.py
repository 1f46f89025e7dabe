"""Documents: rendered once, kept within a bound, the same bytes and ETag on every replica."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import logging

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from registry.documents import Document, Documents, Encoding, Page, encode, matches, negotiate

MIB = 1024 * 1024
CODINGS: tuple[Encoding, ...] = ("identity", "gzip", "zstd")
HTML = "text/html; charset=utf-8"


class Renderer:
    """Renders a page when told to, and counts how often."""

    def __init__(self, body: bytes = b"x" * 1000) -> None:
        self.page = Page(body, HTML)
        self.times = 0
        self.ready = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> Page:
        self.times += 1
        await self.ready.wait()
        if self.error is not None:
            raise self.error
        return self.page


async def started() -> None:
    """Let tasks run up to where they wait."""
    for _ in range(5):
        await asyncio.sleep(0)


def decoded(document: Document) -> bytes:
    match document.headers.get("Content-Encoding"):
        case "gzip":
            return gzip.decompress(document.body)
        case "zstd":
            return zstandard.ZstdDecompressor().decompress(document.body)
        case coding:
            assert coding is None
            return document.body


# --- single flight --------------------------------------------------------------------------------------------------


async def test_concurrent_misses_render_once() -> None:
    documents, render = Documents(MIB), Renderer()
    asking = [asyncio.create_task(documents.get("a", "gzip", render, "no-cache")) for _ in range(100)]
    await started()
    render.ready.set()
    found = await asyncio.gather(*asking)
    assert (1, 1) == (render.times, len(set(map(id, found))))
    assert found[0] is await documents.get("a", "gzip", render, "no-cache")
    assert 1 == render.times


async def test_codings_asked_together_share_the_rendering() -> None:
    documents, render = Documents(MIB), Renderer()
    asking = [asyncio.create_task(documents.get("a", coding, render, "no-cache")) for coding in CODINGS * 3]
    await started()
    render.ready.set()
    assert {b"x" * 1000} == {decoded(document) for document in await asyncio.gather(*asking)}
    assert 1 == render.times


async def test_keys_are_told_apart() -> None:
    documents = Documents(MIB)
    bodies = {}
    for key in ("a", "b", ("a", 1), ("a", 2)):
        render = Renderer(f"{key}".encode())
        render.ready.set()
        bodies[key] = (await documents.get(key, "identity", render, "no-cache")).body
    assert {key: f"{key}".encode() for key in bodies} == bodies


async def test_who_gives_up_waiting_does_not_spoil_the_rendering() -> None:
    documents, render = Documents(MIB), Renderer()
    asking = [asyncio.create_task(documents.get("a", "gzip", render, "no-cache")) for _ in range(4)]
    await started()
    asking[0].cancel()
    asking[2].cancel()
    await started()
    render.ready.set()
    ends = await asyncio.gather(*asking, return_exceptions=True)
    assert [asyncio.CancelledError, Document] * 2 == [type(end) for end in ends]
    assert 1 == render.times


async def test_a_failed_rendering_is_told_to_all_who_wait_and_tried_again() -> None:
    documents, render = Documents(MIB), Renderer()
    render.error = OSError("away")
    render.ready.set()
    asking = [documents.get("a", coding, render, "no-cache") for coding in CODINGS * 2]
    ends = await asyncio.gather(*asking, return_exceptions=True)
    assert [OSError] * 6 == [type(end) for end in ends]
    render.error = None
    assert b"x" * 1000 == (await documents.get("a", "identity", render, "no-cache")).body


async def test_a_failed_rendering_that_nobody_waits_for_any_more_is_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    documents, render = Documents(MIB), Renderer()
    render.error = OSError("away")
    asking = asyncio.create_task(documents.get("a", "gzip", render, "no-cache"))
    await started()
    asking.cancel()
    await started()
    render.ready.set()
    with caplog.at_level(logging.ERROR):
        await started()
        del asking
    assert ([], {}) == (caplog.records, dict(documents._encoding))


# --- the bound ------------------------------------------------------------------------------------------------------


def held(documents: Documents) -> int:
    young = sum(len(task.result().body) for task in documents._pages.values() if task.done())
    return young + sum(len(document.body) for document in documents._entries.values())


async def test_the_cache_stays_within_its_bytes_and_drops_what_was_not_asked_for_longest() -> None:
    documents = Documents(MIB)
    for number in range(200):
        render = Renderer(number.to_bytes(2, "big") * 10_000)
        render.ready.set()
        await documents.get(number, "identity", render, "no-cache")
        if number:
            await documents.get(0, "identity", render, "no-cache")
        assert held(documents) <= MIB + MIB // 8
    kept = [key for key, _ in documents._entries]
    assert kept[-1] == 0
    assert kept[:-1] == list(range(200 - len(kept) + 1, 200))
    assert len(kept) > 40


async def test_many_tiny_pages_are_counted_with_what_they_cost_beside_their_bodies() -> None:
    documents = Documents(MIB)
    for number in range(3000):
        render = Renderer(b"")
        render.ready.set()
        await documents.get(number, "identity", render, "no-cache")
    assert len(documents._entries) <= 1024


async def test_a_page_larger_than_the_cache_is_served_and_pushed_out_by_the_next() -> None:
    documents = Documents(MIB)
    for number in range(3):
        render = Renderer(bytes([number]) * 3 * MIB)
        render.ready.set()
        assert 3 * MIB == len((await documents.get(number, "identity", render, "no-cache")).body)
        assert held(documents) <= 3 * MIB


# --- one coding -----------------------------------------------------------------------------------------------------


@given(st.binary(max_size=3000) | st.binary(min_size=1, max_size=50).map(lambda piece: piece * 20_000))
def test_every_coding_comes_back_as_what_it_was(body: bytes) -> None:
    page = Page(body, HTML)
    for coding in CODINGS:
        document = encode(page, coding, "no-cache")
        assert body == decoded(document)
        assert len(document.body) <= len(body) + 64


@pytest.mark.parametrize("size", [255, 256, 256 * 1024 - 1, 256 * 1024, 2 * MIB])
async def test_small_and_large_pages_come_the_same_way(size: int) -> None:
    render = Renderer(b"line\n" * (size // 5) + b"-" * (size % 5))
    render.ready.set()
    documents = Documents(16 * MIB)
    for coding in CODINGS:
        document = await documents.get("a", coding, render, "no-cache")
        assert (size, size < 256 or coding == "identity") == (
            len(decoded(document)),
            "Content-Encoding" not in document.headers,
        )


def test_etags_differ_by_content_media_type_and_coding_and_by_nothing_else() -> None:
    bodies = [b"a" * 500, b"b" * 500, b"a" * 501]
    pages = [Page(body, kind) for body in bodies for kind in (HTML, "application/json")]
    tags = [encode(page, coding, "no-cache").etag for page in pages for coding in CODINGS]
    assert len(tags) == len(set(tags))
    again = [encode(page, coding, "private, no-cache").etag for page in pages for coding in CODINGS]
    assert tags == again


def test_a_body_and_a_media_type_do_not_run_into_each_other() -> None:
    assert encode(Page(b"b", "a"), "identity", "").etag != encode(Page(b"", "ab"), "identity", "").etag


def test_what_is_too_small_to_compress_has_one_etag() -> None:
    page = Page(b"tiny", HTML)
    assert 1 == len({encode(page, coding, "no-cache").etag for coding in CODINGS})


def test_headers_say_what_it_is_and_how_to_keep_it() -> None:
    page = Page(b"x" * 300, "application/vnd.pypi.simple.v1+json", (("Vary", "Accept"), ("X-More", "1")))
    document = encode(page, "gzip", "private, no-cache")
    kept = {"ETag": document.etag, "Cache-Control": "private, no-cache", "Vary": "Accept", "X-More": "1"}
    assert kept == dict(document.not_modified)
    said = {"Content-Type": page.content_type, "Content-Encoding": "gzip", "X-Content-Type-Options": "nosniff"}
    assert {**kept, **said} == dict(document.headers)


# --- negotiation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip", "gzip"),
        ("zstd", "zstd"),
        ("GZip", "gzip"),
        ("gzip, deflate", "gzip"),  # pip
        ("gzip, deflate, br, zstd", "zstd"),  # browsers
        ("gzip;q=1.0,deflate;q=0.6,identity;q=0.3", "gzip"),
        ("zstd;q=0.5, gzip;q=1", "gzip"),
        ("zstd;q=1, gzip;q=1", "zstd"),
        ("zstd;q=0, gzip", "gzip"),
        ("zstd;q=0.000, gzip", "gzip"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0, *", "zstd"),
        ("*", "zstd"),
        ("*;q=0", "identity"),
        ("zstd;q=0, gzip;q=0, *;q=1", "identity"),
        ("*;q=0, gzip", "gzip"),
        ("identity", "identity"),
        ("identity, gzip", "gzip"),
        ("identity;q=1, gzip;q=0.5", "identity"),
        ("identity;q=0.1, *;q=0.2", "zstd"),
        ("br, deflate", "identity"),
        ("gzip ; q = 0.5", "gzip"),
        ("gzip;q=oops", "identity"),
        ("gzip;q=nan", "identity"),
        ("gzip;q=-1", "identity"),
        ("gzip;q=1e9", "identity"),
        ("gzip;x=y", "gzip"),
        ("gzip;", "gzip"),
        (",,gzip,,", "gzip"),
        ("xgzip, gzipx", "identity"),
        ("gzip" * 2000, "identity"),
    ],
)
def test_the_coding_a_client_likes_best(accept: str | None, coding: Encoding) -> None:
    assert coding == negotiate(accept)


@given(st.dictionaries(st.sampled_from(["zstd", "gzip", "identity", "*", "br"]), st.integers(0, 1000)))
def test_nothing_is_sent_that_the_client_refuses(wishes: dict[str, int]) -> None:
    """Unless it refuses everything: then it gets the plain page, which is better than nothing."""
    header = ", ".join(f"{coding};q={quality / 1000:.3f}" for coding, quality in wishes.items())
    chosen = negotiate(header)
    qualities = {coding: wishes.get(coding, wishes.get("*", 0)) for coding in ("zstd", "gzip")}
    best = max(qualities.values())
    if chosen == "identity":
        assert best == 0 or best < wishes.get("identity", 0)
    else:
        assert qualities[chosen] == best > 0
        assert best >= wishes.get("identity", 0)


# --- conditions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('"abc"', True),
        ('W/"abc"', True),
        ("*", True),
        (" * ", True),
        ('"x", "abc"', True),
        ('"x",W/"abc" , "y"', True),
        ('"ab"', False),
        ('"abc', False),
        ("abc", False),
        ('"ABC"', False),
        ('"abc-gzip"', False),
        ('"*"', False),
        ("", False),
        (",", False),
        ('w/"abc"', False),
    ],
)
def test_conditions_compare_weakly(condition: str, *, expected: bool) -> None:
    assert expected is matches(condition, '"abc"')


def test_a_client_that_changes_its_coding_gets_the_page_again() -> None:
    page = Page(b"x" * 300, HTML)
    for one, other in itertools.permutations(CODINGS, 2):
        assert not matches(encode(page, one, "").etag, encode(page, other, "").etag)
