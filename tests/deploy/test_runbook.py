"""The runbook: every alert has its section, every file it names is there, and what it promises of the bucket holds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from registry import settings
from registry.storage import s3

HOME = Path(__file__).parent.parent.parent / "deploy"
TEXT = (HOME / "README.md").read_text()


def test_every_alert_has_a_section_and_every_section_an_alert() -> None:
    found = yaml.safe_load((HOME / "monitoring" / "alerts.yaml").read_text())
    alerts = [rule["alert"] for group in found["groups"] for rule in group["rules"] if "alert" in rule]

    assert re.findall(r"(?m)^### (Registry\w+)$", TEXT) == alerts


def test_the_files_it_names_are_there() -> None:
    named = set(re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT))

    # Backup and restore have a guide of their own.
    assert {name for name in named if not (HOME / name).exists()} <= {"BACKUP.md"}


def test_the_settings_it_names_are_settings() -> None:
    named = {name.removesuffix("_FILE") for name in re.findall(r"\bREGISTRY_[A-Z_]+\b", TEXT)}

    assert {name.removeprefix("REGISTRY_").lower() for name in named} <= settings.Settings.model_fields.keys()


def test_the_policy_allows_what_the_store_uses_and_no_more() -> None:
    statements = json.loads((HOME / "s3-policy.json").read_text())["Statement"]
    allowed = {action.removeprefix("s3:") for one in statements for action in one["Action"]}
    said = (s3.__doc__ or "").partition("It needs ")[2].partition(".")[0]

    assert allowed == set(re.findall(r"[A-Z]\w+", said))
    assert {one["Effect"] for one in statements} == {"Allow"}


def test_unfinished_uploads_are_ended_by_the_bucket_and_nothing_else_is() -> None:
    (rule,) = json.loads((HOME / "s3-lifecycle.json").read_text())["Rules"]

    assert rule.keys() == {"ID", "Status", "Filter", "AbortIncompleteMultipartUpload"}
