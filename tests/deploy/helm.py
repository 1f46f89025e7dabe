"""Helm: the chart rendered, linted and its values refused by the real thing, without a cluster.

Helm comes as a library for Python in an environment of its own (`tests/clients/toolbox.py`). This module is imported by
the tests, and run by that environment's interpreter: JSON in, JSON out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CHART = Path(__file__).parent.parent.parent / "deploy" / "chart"
RELEASE, NAMESPACE = "packages", "registry"


def render(python: str, values: list[dict[str, Any]]) -> list[dict[str, str] | str]:
    """The manifests by template path for each set of values, or what Helm says against them."""
    answers: list[dict[str, str] | str] = _ask(python, {"render": values})
    return answers


def lint(python: str, values: dict[str, Any]) -> dict[str, Any]:
    """What `helm lint --strict` finds."""
    found: dict[str, Any] = _ask(python, {"lint": values})
    return found


def package(python: str, directory: Path) -> Path:
    """The chart as one file."""
    return Path(_ask(python, {"package": str(directory)}))


def _ask(python: str, question: Any) -> Any:
    done = subprocess.run(
        [python, __file__], input=json.dumps(question), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _answer(question: dict[str, Any]) -> Any:
    import helm_python as library  # type: ignore[import-not-found]  # of the other environment

    if "lint" in question:
        return library.lint(str(CHART), question["lint"], strict=True)
    if "package" in question:
        return library.package(str(CHART), destination=question["package"])
    answers: list[Any] = []
    with library.Chart.load(str(CHART)) as chart:
        for values in question["render"]:
            try:
                chart.validate_schema(values)
                answers.append(chart.render(values, name=RELEASE, namespace=NAMESPACE))
            except library.HelmError as error:
                answers.append(str(error))
    return answers


if __name__ == "__main__":
    json.dump(_answer(json.load(sys.stdin)), sys.stdout)
