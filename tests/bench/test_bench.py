"""What the benchmarks compute, without running one."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import time
import zipfile

import pytest

from tests.bench import load, report, sending, trees
from tests.bench.measuring import RATIO, Measurement
from tests.bench.publishing import base64_of

WRK = """\
Running 2s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.10ms    1.00ms  20.00ms   90.00%
    Req/Sec    15.00k     1.00k   16.00k    90.00%
  Latency Distribution
     50%    4.00ms
     75%    4.50ms
     90%    5.00ms
     99%    1.20s
  30000 requests in 2.00s, 1.50GB read
"""


def test_what_wrk_prints_is_counted_per_second_and_per_cpu_second() -> None:
    found = load.measure(WRK, used=1.5)

    expected = load.Measure(15_000, 20_000, 4.0, 1200.0, 1.5e9 / (1.5 * 1024**3), errors=0)
    assert expected == found


def test_refusals_and_broken_connections_are_errors() -> None:
    lines = "  Socket errors: connect 1, read 2, write 0, timeout 4\n  Non-2xx or 3xx responses: 100\n"

    assert 107 == load.measure(WRK + lines, used=1.0).errors


def test_no_answer_at_all_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="no answer"):
        load.measure(WRK.replace("30000 requests", "0 requests"), used=1.0)


def test_an_answer_that_was_an_error_misses_any_bar() -> None:
    assert Measurement("x", 1.0, RATIO, least=0.8).kept
    assert not Measurement("x", 1.0, RATIO, least=0.8, errors=1).kept
    assert not Measurement("x", 0.7, RATIO, least=0.8).kept
    assert not Measurement("x", 3.0, RATIO, most=2.0).kept


def test_the_table_has_one_line_for_a_workload_and_none_for_what_was_not_promised() -> None:
    found = [
        Measurement("page", 0.4, RATIO, at="c=1"),
        Measurement("page", 0.9, RATIO, least=0.8, at="c=16"),
        Measurement("page", 0.7, RATIO, least=0.8, at="c=64"),
        Measurement("rendering", 12.0, "ms"),
        Measurement("upload", 151.4, "MB/s", least=150),
    ]

    assert [
        "| page | at least 0.8 | c=1: 0.4 x, c=16: 0.9 x, **c=64: 0.7 x** |",
        "| upload | at least 150 | 151 MB/s |",
    ] == report.rows(found)


def test_the_readme_has_a_place_for_the_table() -> None:
    assert report._PLACE.search(report.README.read_text(encoding="utf-8")) is not None


def test_the_cpu_clock_of_a_process_counts_its_own_work() -> None:
    before, mine = load.cpu_seconds(os.getpid()), time.process_time()
    sum(range(100_000))

    used = load.cpu_seconds(os.getpid()) - before
    assert 0 < used <= time.process_time() - mine + 0.01


def test_trees_reach_every_package_and_are_the_same_every_time() -> None:
    reached, waiting = set(), [0]
    while waiting:
        number = waiting.pop()
        reached.add(number)
        waiting += trees.below(number, trees.TARBALLS)
    assert set(range(trees.TARBALLS)) == reached
    with zipfile.ZipFile(io.BytesIO(trees.wheels()[0].content)) as wheel:
        assert b"Requires-Dist: branch-4>=1.0" in wheel.read("branch_0-1.0.dist-info/METADATA")
    assert trees._wheel(7) == trees._wheel(7)
    assert trees._tarball(7) == trees._tarball(7)


def test_an_upload_has_the_size_and_digests_it_declares() -> None:
    content = sending.Content(3 * 1024 * 1024 + 5)
    whole = b"".join(content.pieces())

    assert content.size == len(whole)
    assert content.digests()["sha256_digest"] == hashlib.sha256(whole).hexdigest()


def test_base64_of_pieces_is_base64_of_the_whole() -> None:
    document = trees.tarball("demo", "1.0.0").document()
    whole = json.dumps(document).encode()
    pieces = iter([whole[:1], whole[1:5], whole[5:]])

    encoded = b"".join(base64_of(pieces))

    assert whole == base64.b64decode(encoded)
