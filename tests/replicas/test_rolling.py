"""Replicas come and go: clients do not notice a rolling restart, and lose nothing to a crash."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from registry.db.migrate import Migration, available, migrate
from tests.cli.processes import until
from tests.clients.toolbox import Missing
from tests.replicas import fleet
from tests.replicas.fleet import Fleet
from tests.replicas.traffic import Traffic

pytestmark = pytest.mark.client

SECONDS = 14


@pytest.fixture
def running(database_url: str, place: Path) -> Iterator[Fleet]:
    try:
        with fleet.running(database_url, place) as one:
            yield one
    except Missing as missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(missing))


def test_a_rolling_restart_fails_no_command_and_a_crash_loses_nothing(running: Fleet, place: Path) -> None:
    codes: list[int] = []

    def replace(number: signal.Signals, stop: threading.Event) -> None:
        codes.extend(running.replace(stop, number))

    replaced = Traffic(running, place / "replaced")
    replaced.run(partial(replace, signal.SIGTERM), SECONDS)
    assert ([], []) == (replaced.tally.failures, replaced.tally.lost)
    assert {0} == set(codes)
    assert replaced.tally.published

    codes.clear()
    killed = Traffic(running, place / "killed", patience=True)
    killed.run(partial(replace, signal.SIGKILL), SECONDS)
    assert [] == killed.tally.lost
    assert {-signal.SIGKILL} == set(codes)
    assert killed.tally.published


def test_migrations_disturb_nobody_until_one_ends_this_release(running: Fleet, place: Path, database_url: str) -> None:
    number = len(available())
    expand = [
        Migration(
            number + 1,
            f"{number + 1:04}_scans",
            "ALTER TABLE package_files ADD COLUMN scanned_at timestamptz, ADD COLUMN findings integer DEFAULT 0;"
            "ALTER TABLE packages ADD COLUMN note text NOT NULL DEFAULT '';"
            "CREATE TABLE scans (file_id bigint PRIMARY KEY REFERENCES package_files ON DELETE CASCADE);",
        ),
        Migration(
            number + 2,
            f"{number + 2:04}_concurrently_scans",
            "DROP INDEX CONCURRENTLY IF EXISTS scanned;\n"
            "CREATE INDEX CONCURRENTLY scanned ON package_files (scanned_at);\n",
        ),
    ]
    applied = []

    def migrate_now(_: threading.Event) -> None:
        applied.extend(asyncio.run(migrate(database_url, [*available(), *expand])))

    traffic = Traffic(running, place / "migrated")
    traffic.run(migrate_now, SECONDS / 2)
    assert [one.name for one in expand] == applied
    assert ([], []) == (traffic.tally.failures, traffic.tally.lost)
    assert {(200, b'{"status":"ok"}')} == {replica.readiness() for replica in running.replicas}

    contract = Migration(number + 3, f"{number + 3:04}_contract_notes", "ALTER TABLE packages DROP COLUMN note;")
    asyncio.run(migrate(database_url, [*available(), *expand, contract]))
    told = (503, b'{"status":"outgrown"}')
    until(lambda: {told} == {replica.readiness() for replica in running.replicas})
