"""Every query is prepared against the migrated schema and compared with the dataclass its rows fill."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
from pathlib import Path

import asyncpg
import pytest

import registry
from registry import resource
from registry.db.queries import Queries

TOPICS = sorted(path.stem for path in (resource("sql") / "queries").glob("*.sql"))


@pytest.mark.parametrize("topic", TOPICS)
async def test_queries_are_valid_and_fill_their_dataclass(topic: str, database_url: str) -> None:
    module = importlib.import_module(f"registry.db.{topic}")
    connection = await asyncpg.connect(database_url)
    wrong = []
    for query in Queries(topic).all.values():
        statement = await connection.prepare(query.text)
        columns = [attribute.name for attribute in statement.get_attributes()]
        if query.fills is not None:
            fields = [field.name for field in dataclasses.fields(getattr(module, query.fills))]
            by_position = f"{query.fills}(*row)" in inspect.getsource(module)
            if columns != fields if by_position else sorted(columns) != sorted(fields):
                wrong.append(f"{query.name}: {columns} do not fill {query.fills} {fields}")
    await connection.close()
    assert [] == wrong


@pytest.mark.parametrize("topic", TOPICS)
def test_every_query_has_a_caller_and_every_caller_a_query(topic: str) -> None:
    source = (Path(registry.__file__).parent / "db" / f"{topic}.py").read_text(encoding="utf-8")
    used = {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "SQL"
    }
    assert used == set(Queries(topic).all)


@pytest.mark.parametrize("topic", TOPICS)
def test_every_query_has_a_sentence_and_lists_its_columns(topic: str) -> None:
    text = (resource("sql") / "queries" / f"{topic}.sql").read_text(encoding="utf-8")
    blocks = text.split("-- name: ")[1:]
    without_sentence = [block.split()[0] for block in blocks if not block.splitlines()[1].startswith("-- ")]
    with_star = [block.split()[0] for block in blocks if "SELECT *" in block]
    assert ([], []) == (without_sentence, with_star)


# Nothing that pages are rendered from.
NOT_SHOWN = {"touch_downloads"}


@pytest.mark.parametrize("topic", TOPICS)
def test_whoever_updates_a_package_or_file_moves_its_revision(topic: str) -> None:
    updates = re.compile(r"UPDATE (packages|package_files)\b|INSERT INTO (packages|package_files)\b[^;]*\bDO UPDATE")
    queries = [query for query in Queries(topic).all.values() if updates.search(query.text)]

    forgetful = {query.name for query in queries if not re.search(r"revision = \w+\.revision \+ 1", query.text)}

    assert forgetful <= NOT_SHOWN
