"""Dashboard and alert rules, held against what the server exports, and run by Prometheus' own checker."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from registry import app, metrics
from tests.clients import packing
from tests.people import People

ROOT = Path(__file__).parent.parent.parent
MONITORING = ROOT / "deploy" / "monitoring"

# What Prometheus itself adds to a series of ours.
TARGET = {"job", "namespace", "instance"}
WORDS = {
    *("by", "on", "and", "or", "unless", "without", "ignoring", "group_left", "group_right", "offset", "bool", "le"),
    *("inf", "nan"),
}


def rules() -> list[dict[str, Any]]:
    found = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    return [rule for group in found["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
    return found


def panel_expressions() -> list[str]:
    """What the panels ask, with Grafana's variables filled in."""
    filled = {"$__rate_interval": "5m", "$job": "package-registry", "$namespace": ".*"}
    asked = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
    return [re.sub(r"\$\w+", lambda match: filled[match[0]], one) for one in asked]


def expressions() -> list[str]:
    return [rule["expr"] for rule in rules()] + panel_expressions()


def series(expression: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The metrics of an expression, with the matchers of their labels."""
    for name, matchers in re.findall(
        r"\b((?:registry|process|up)(?:_\w+)?|job:\w+:\w+)\b(?:\{([^}]*\}?[^}]*)\})?", expression
    ):
        yield name, {label: value for label, _, value in re.findall(r'(\w+)(=~|!=|!~|=)"((?:[^"\\]|\\.)*)"', matchers)}


def grouped(expression: str) -> set[str]:
    """The labels of `by`, `on` and the like."""
    clauses = re.findall(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)", expression)
    return {label.strip() for clause in clauses for label in clause.split(",") if label.strip()}


@pytest.fixture
async def exported(people: People) -> dict[str, set[str]]:
    """The samples that `/-/metrics` shows after some traffic, with the names of their labels."""
    project = await people.project()
    developer = await people.member(project, 30)
    wheel = packing.wheel("demo", "1.0")
    upload = {"file_name": "demo-1.0-py3-none-any.whl", "name": "demo", "version": "1.0"}
    statuses = [(await developer.upload(project, content=wheel, **upload)).status for _ in range(2)]
    await developer.upload(project, content=packing.wheel("demo", "1.0", build="1"), **upload)
    for _ in range(2):
        await developer.get(f"/api/v4/projects/{project.id}/packages/pypi/simple/demo/")
    await people.anonymous.get("/api/v4/user", headers={"PRIVATE-TOKEN": "glpat-nobodys"})
    assert statuses == [201, 201]
    text = await (await people.anonymous.get("/-/metrics")).text()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
        # A counter without a sample yet: nothing of the kind has happened.
        collector = metrics.REGISTRY._names_to_collectors.get(family.name)
        if collector is not None:
            suffix = "_total" if family.type == "counter" else ""
            found.setdefault(family.name + suffix, set()).update(getattr(collector, "_labelnames", ()))
    return found


async def test_every_metric_and_label_is_exported(exported: dict[str, set[str]]) -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    wrong = []
    for expression in expressions():
        labels: set[str] = set()
        for name, matchers in series(expression):
            own = TARGET if name in {"up", *recorded} else exported.get(name, {"missing"}) | TARGET
            if "missing" in own or not matchers.keys() <= own:
                wrong.append((name, matchers))
            labels |= own
        assert labels, expression
        if not grouped(expression) <= labels:
            wrong.append((expression, dict.fromkeys(grouped(expression) - labels, "")))

    assert wrong == []


def test_what_is_asked_for_is_moved_by_the_server() -> None:
    """A metric that nobody sets is exported, too, and says 0 for ever."""
    source = "\n".join(path.read_text() for path in (ROOT / "registry").rglob("*.py") if path.name != "metrics.py")
    moved = {
        sample
        for attribute, collector in vars(metrics).items()
        if hasattr(collector, "describe") and re.search(rf"\bmetrics\.{attribute}\b", source)
        for sample in metrics.REGISTRY._collector_to_names[collector]
    }

    asked = {name for one in expressions() for name, _ in series(one) if name.startswith("registry_")}
    assert asked - moved == set()


def test_the_values_that_are_asked_for_are_ones_the_server_writes() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "registry").rglob("*.py"))
    templates = {endpoint.template for endpoint in app.routes().endpoints}
    wrong = []
    for expression in expressions():
        for _, matchers in series(expression):
            for label, value in matchers.items():
                match label:
                    case "route":
                        pattern = value.replace("\\\\", "\\")
                        fits = any(re.fullmatch(pattern, template) for template in templates)
                    case "code":
                        fits = re.fullmatch(r"[45]\.\.|\d{3}(\|\d{3})*", value) is not None
                    case "method":
                        fits = set(value.split("|")) <= {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"}
                    case "job":
                        fits = value == "package-registry"
                    case "namespace":
                        fits = value == ".*"
                    case _:
                        fits = all(f'"{one}"' in source for one in value.split("|"))
                if not fits:
                    wrong.append((label, value))

    assert wrong == []


def test_prometheus_understands_every_expression(promtool: str, tmp_path: Path) -> None:
    asked = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(panel_expressions())]
    panels = tmp_path / "panels.yaml"
    panels.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": asked}]}))

    for file in (MONITORING / "alerts.yaml", panels):
        done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_panels_of_the_dashboard_are_told_apart_and_do_not_overlap() -> None:
    found = dashboard()
    cells = [
        (x, y)
        for panel in found["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    assert all(panel["description"] for panel in found["panels"] if panel["type"] != "row")
    variables = {variable["name"] for variable in found["templating"]["list"]}
    assert set(re.findall(r"\$\{?([a-z]+)", json.dumps(found["panels"]))) <= variables


GOOD = 'job="package-registry", namespace="n", instance="a"'
OTHER = GOOD.replace('"a"', '"b"')
REQUESTS = f'registry_http_requests_total{{{GOOD}, route="/", method="GET", code="%s"}}'
BUCKET = (
    f'registry_http_request_seconds_bucket{{{GOOD}, route="/api/v4/projects/{{id}}/packages/pypi/simple", le="%s"}}'
)
HEALTHY = {
    f"up{{{GOOD}}}": "1x200",
    f"up{{{OTHER}}}": "1x200",
    REQUESTS % "200": "0+6000x200",
    REQUESTS % "503": "0+1x200",
    REQUESTS.replace("GET", "PUT") % "429": "0+1x200",
    BUCKET % "0.1": "0+600x200",
    BUCKET % "5": "0+600x200",
    BUCKET % "+Inf": "0+600x200",
    f"registry_loop_lag_seconds{{{GOOD}}}": "0.001x200",
    f'registry_db_errors_total{{{GOOD}, error="ConnectionError"}}': "0+1x200",
    f"registry_store_breaker_open{{{GOOD}}}": "0x200",
    f'registry_change_polls_total{{{GOOD}, result="ok"}}': "0+600x200",
    f'registry_change_polls_total{{{OTHER}, result="ok"}}': "0+600x200",
    f'registry_change_polls_total{{{GOOD}, result="failed"}}': "0x200",
    f"registry_changes_seen{{{GOOD}}}": "0+5x200",
    # A minute behind, as scrapes are.
    f"registry_changes_seen{{{OTHER}}}": "0 0+5x199",
    f'registry_publish_total{{{GOOD}, format="pypi", outcome="created"}}': "0+2x200",
    f'registry_publish_total{{{GOOD}, format="pypi", outcome="conflict"}}': "0+1x200",
    f'registry_janitor_runs_total{{{GOOD}, result="done"}}': "0+0.1x200",
    f'registry_janitor_runs_total{{{GOOD}, result="failed"}}': "0+0.05x200",
    f'registry_janitor_removed_total{{{GOOD}, kind="failed"}}': "0x200",
    f'registry_auth_total{{{GOOD}, scheme="basic", result="unknown"}}': "0+6x200",
    f'registry_ratelimited_total{{{GOOD}, rule="unauthenticated"}}': "0+6x200",
    f"registry_http_malformed_total{{{GOOD}}}": "0+6x200",
    f"process_open_fds{{{GOOD}}}": "100x200",
    f"process_max_fds{{{GOOD}}}": "1024x200",
    f'registry_build_info{{{GOOD}, version="1"}}': "1x200",
}
# What goes wrong in a healthy registry, by the alert that tells; None takes a series away.
TROUBLE: dict[str, dict[str, str | None]] = {
    "RegistryDown": {f"up{{{GOOD}}}": "0x200", f"up{{{OTHER}}}": None},
    "RegistryReplicaDown": {f"up{{{OTHER}}}": "0x200"},
    "RegistryErrorBudgetBurnFast": {REQUESTS % "500": "0+600x200"},
    "RegistryErrorBudgetBurnSlow": {REQUESTS % "500": "0+60x200"},
    "RegistryReadsSlow": {BUCKET % "0.1": "0+300x200"},
    "RegistryEventLoopLag": {f"registry_loop_lag_seconds{{{GOOD}}}": "0.4x200"},
    "RegistryDatabaseErrors": {f'registry_db_errors_total{{{GOOD}, error="ConnectionError"}}': "0+60x200"},
    "RegistryStoreAway": {f"registry_store_breaker_open{{{GOOD}}}": "0x10 1x190"},
    "RegistryChangeLogPollsFail": {f'registry_change_polls_total{{{GOOD}, result="failed"}}': "0+1x200"},
    "RegistryReplicaBehind": {f"registry_changes_seen{{{OTHER}}}": "0+5x10 50x190"},
    "RegistryPublishesConflict": {
        f'registry_publish_total{{{GOOD}, format="pypi", outcome="conflict"}}': "0+6x200",
    },
    "RegistryUploadsBusy": {REQUESTS.replace("GET", "PUT") % "429": "0+60x200"},
    "RegistryCleanupFails": {
        f'registry_janitor_runs_total{{{GOOD}, result="done"}}': "0x200",
        f'registry_janitor_runs_total{{{GOOD}, result="failed"}}': "0+0.1x200",
    },
    "RegistryObjectsNotRemoved": {f'registry_janitor_removed_total{{{GOOD}, kind="failed"}}': "0+1x200"},
    "RegistryFailedSignIns": {f'registry_auth_total{{{GOOD}, scheme="basic", result="unknown"}}': "0+600x200"},
    "RegistryRateLimited": {f'registry_ratelimited_total{{{GOOD}, rule="unauthenticated"}}': "0+600x200"},
    "RegistryMalformedRequests": {f"registry_http_malformed_total{{{GOOD}}}": "0+600x200"},
    "RegistryFilesNearlyExhausted": {f"process_open_fds{{{GOOD}}}": "1000x200"},
    "RegistryVersionsMixed": {f'registry_build_info{{{OTHER}, version="2"}}': "1x200"},
}
# Told by the same trouble.
ALSO = {
    "RegistryDown": {"RegistryReplicaDown"},
    "RegistryErrorBudgetBurnFast": {"RegistryErrorBudgetBurnSlow"},
}


def test_each_alert_tells_its_trouble_and_a_healthy_registry_is_quiet(promtool: str, tmp_path: Path) -> None:
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert alerts == TROUBLE.keys()
    tests = []
    for alert, changes in {"": {}, **TROUBLE}.items():
        values = {name: value for name, value in {**HEALTHY, **changes}.items() if value is not None}
        firing = sorted({alert} | ALSO.get(alert, set())) if alert else []
        tests.append(
            {
                "name": alert or "healthy",
                "interval": "1m",
                "input_series": [{"series": name, "values": value} for name, value in values.items()],
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": "3h",
                        "exp_samples": [{"labels": f'{{alertname="{one}"}}', "value": 1} for one in firing],
                    }
                ],
            }
        )
    file = tmp_path / "tests.yaml"
    groups = {"rule_files": [str(MONITORING / "alerts.yaml")], "evaluation_interval": "5m", "tests": tests}
    file.write_text(yaml.safe_dump(groups, sort_keys=False))

    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_says_how_bad_it_is_and_what_it_means() -> None:
    for rule in rules():
        if "alert" in rule:
            assert rule["labels"]["severity"] in {"critical", "warning", "info"}
            assert rule["annotations"].keys() == {"summary", "description"}
