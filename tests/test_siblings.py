"""Siblings: any worker tells the metrics of all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from registry import metrics, siblings
from registry.siblings import Siblings

ONE = b"""# HELP requests_total Requests answered
# TYPE requests_total counter
requests_total{code="200",route="/{x} y"} 3.0
# HELP lag Lag of the loop
# TYPE lag gauge
lag 0.5
"""


def parsed(text: bytes) -> list[Metric]:
    return list(text_string_to_metric_families(text.decode()))


def test_samples_say_of_which_worker_they_are_and_families_stay_together() -> None:
    two = ONE.replace(b" 3.0", b" 4.0") + b"# HELP more Only here\n# TYPE more gauge\nmore 1.0\n"
    merged = """# HELP requests_total Requests answered
# TYPE requests_total counter
requests_total{worker="1",code="200",route="/{x} y"} 3.0
requests_total{worker="2",code="200",route="/{x} y"} 4.0
# HELP lag Lag of the loop
# TYPE lag gauge
lag{worker="1"} 0.5
lag{worker="2"} 0.5
# HELP more Only here
# TYPE more gauge
more{worker="2"} 1.0
"""
    assert merged == metrics.merged({1: ONE, 2: two}).decode()


def test_prometheus_understands_what_the_server_really_tells() -> None:
    metrics.requests.labels("/a/{b}", "GET", 200).inc()
    own = metrics.exposition()
    families = {family.name: family for family in parsed(metrics.merged({1: own, 2: own}))}
    alone = {family.name: family for family in parsed(own)}
    assert alone.keys() == families.keys()
    for name, family in alone.items():
        expected = [(s.name, {**s.labels, "worker": w}) for w in "12" for s in family.samples]
        assert expected == [(s.name, s.labels) for s in families[name].samples]


async def test_workers_that_do_not_answer_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siblings, "ASK_SECONDS", 0.2)

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        writer.close()

    stuck = await asyncio.start_unix_server(hold, tmp_path / "3.sock")
    (tmp_path / "4.sock").touch()
    one, two = Siblings(1, tmp_path), Siblings(2, tmp_path)
    async with one.telling(), two.telling():
        for worker in (one, two):
            told = parsed(await worker.exposition())
            assert {"1", "2"} == {sample.labels["worker"] for family in told for sample in family.samples}
    await asyncio.sleep(0.3)
    stuck.close()
    assert not (tmp_path / "1.sock").exists()
    assert not (tmp_path / "2.sock").exists()
