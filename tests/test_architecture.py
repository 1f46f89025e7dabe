"""The rank rule of `registry/__init__.py`, and what else keeps the structure honest."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import registry

ROOT = Path(registry.__file__).parent
RANKS = {
    name.rstrip("/"): int(rank)
    for name, rank in re.findall(r"^    (\w+/?) +(\d)  ", registry.__doc__ or "", re.MULTILINE)
}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] not in {"__init__", "_resources"}:
            yield ".".join(parts), path


def imports(path: Path) -> Iterator[str]:
    """The modules below `registry` that a file imports, without the package's name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "registry":
                yield from (alias.name for alias in node.names)
            elif node.module.startswith("registry."):
                yield node.module.removeprefix("registry.")
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("registry.") for a in node.names if a.name.startswith("registry."))


def test_every_module_is_on_the_map() -> None:
    tops = {name.partition(".")[0] for name, _ in modules()}
    assert tops == set(RANKS)


def test_a_module_imports_only_lower_ranks_and_its_own_siblings() -> None:
    wrong = []
    for name, path in modules():
        top = name.partition(".")[0]
        for imported in imports(path):
            other = imported.partition(".")[0]
            if other in RANKS and other != top and RANKS[other] >= RANKS[top] and not _siblings(top, other):
                wrong.append(f"{name} [{RANKS[top]}] imports {imported} [{RANKS[other]}]")
    assert [] == wrong


def _siblings(top: str, other: str) -> bool:
    """`python -m registry` is the command line."""
    return {top, other} == {"cli", "__main__"}


def test_the_kernel_never_names_a_format() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules()
        if name.partition(".")[0] not in {"app", "formats"}
        for imported in imports(path)
        if imported.startswith("formats.") and not name.startswith("formats")
    ]
    assert [] == wrong


def test_a_format_never_imports_another() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules()
        if name.startswith("formats.")
        for imported in imports(path)
        if imported.startswith("formats.") and imported.split(".")[1] != name.split(".")[1]
    ]
    assert [] == wrong


def test_only_the_command_line_reads_the_environment() -> None:
    wrong = [
        name
        for name, path in modules()
        if not name.startswith("cli")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    ]
    assert [] == wrong


def test_only_metrics_names_prometheus() -> None:
    wrong = [
        name
        for name, path in modules()
        if name != "metrics" and "prometheus_client" in path.read_text(encoding="utf-8")
    ]
    assert [] == wrong


def test_sql_stands_in_sql_files() -> None:
    statement = re.compile(r"\b(SELECT .+ FROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM)\b")
    allowed = {"db.migrate", "embedded.cluster"}  # the ledger of migrations; the roles of a fresh cluster
    wrong = [name for name, path in modules() if name not in allowed and statement.search(path.read_text("utf-8"))]
    assert [] == wrong
