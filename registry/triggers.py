"""Triggers: which audit events webhooks tell of, and under which name. A new kind of event is a line here."""

from __future__ import annotations

from collections.abc import Mapping

TRIGGERS: Mapping[str, str] = {
    "package_published": "publish",
    "package_deleted": "delete",
    "package_file_deleted": "delete",
    "project_deleted": "delete",
    "package_tag_set": "tag",
    "package_tag_deleted": "tag",
    "package_deprecated": "deprecate",
    "package_status_set": "deprecate",
    "package_yanked": "yank",
    "package_unyanked": "yank",
    "package_stage_created": "stage",
    "package_file_staged": "stage",
    "package_file_unstaged": "stage",
    "package_stage_promoted": "stage",
    "package_stage_dropped": "stage",
    "package_stage_expired": "stage",
}
# What a hook may be told, in the order in which it is shown.
NAMES = tuple(dict.fromkeys(TRIGGERS.values()))
