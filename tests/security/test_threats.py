"""The list of threats is whole, what it names exists, and what can be read off the code is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.security.threats import THREATS

TESTS = Path(__file__).parents[1]
REGISTRY = TESTS.parent / "registry"


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(REGISTRY.rglob("*.py")):
        yield str(path.relative_to(REGISTRY)), ast.parse(path.read_text(encoding="utf-8"))


def functions(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_threat_has_a_test_that_exists_or_a_reason() -> None:
    assert 75 == len({threat.words for threat in THREATS})
    assert [] == [threat.words for threat in THREATS if bool(threat.tests) == bool(threat.why)]
    absent = []
    for node in sorted({node for threat in THREATS for node in threat.tests}):
        file, _, name = node.partition("::")
        if not name.startswith("test_") or not (TESTS / file).is_file() or name not in functions(file):
            absent.append(node)
    assert [] == absent


def test_only_webhooks_have_a_client_that_a_caller_could_aim() -> None:
    """Else only the object store, which the operator names, is ever connected to.

    The one session there is has the connector that checks addresses, and every request of it follows no redirect.
    """
    clients = re.compile(
        r"(aiohttp\.client|.*ClientSession|requests|httpx|urllib3|urllib\.request|http\.client|ftplib|smtplib)\b"
    )
    found, sessions, asked = [], [], []
    for name, tree in modules():
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            if isinstance(node, ast.Attribute) and node.attr == "ClientSession":
                names = [node.attr]
            # `registry check` asks the store as a client of the registry would, and never while serving.
            found += [(name, one) for one in names if clients.match(one) and name != "cli/check.py"]
            if name == "deliveries.py" and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                options = {option.arg: ast.unparse(option.value) for option in node.keywords}
                if node.func.attr == "ClientSession":
                    sessions.append(options["connector"].partition("(")[0])
                elif ast.unparse(node.func).startswith("session."):
                    asked.append((node.func.attr, options["allow_redirects"]))
    assert {("deliveries.py", "ClientSession")} == set(found)
    assert (["outbound.connector"], [("post", "False")]) == (sessions, asked)


def test_no_secret_is_compared_letter_by_letter() -> None:
    """Tokens are looked up by their SHA-256 in an index; nothing else compares a secret to what somebody sent."""
    secret = re.compile(r"(?:^|_)(token|secret|password|signature|sha256_of_token)$")
    found = []
    for name, tree in modules():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Compare) or not any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
                continue
            sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
            # A comparison with a word of our own tells nothing about a secret.
            constant = any(isinstance(side, ast.Constant) for side in (node.left, *node.comparators))
            if not constant and any(secret.search(side) for side in sides):
                found.append((name, node.lineno, sides))
    assert [] == found


def test_no_name_is_a_label_of_a_metric() -> None:
    """Of people, projects and packages there is no end, and whoever may see counts may not see these."""
    labels = {
        constant.value
        for node in ast.walk(ast.parse((REGISTRY / "metrics.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.List | ast.Tuple)
        for constant in node.elts
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
    }
    assert labels
    assert not labels & {"name", "package", "project", "group", "user", "username", "token", "path", "address", "url"}
