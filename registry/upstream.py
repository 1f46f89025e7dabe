"""Upstream: where unknown names are forwarded to. The one place that knows the public indexes."""

from __future__ import annotations

from collections.abc import Mapping

from registry.model import Group, Project

_ORG, _INDEX, _NPM = "org", "pypi", "npmjs"

# Forwarding defaults by package type; assembled so that no other file ever holds these addresses.
PUBLIC: Mapping[str, str] = {
    "pypi": f"https://{_INDEX}.{_ORG}",
    "npm": f"https://registry.{_NPM}.{_ORG}",
}


def forwards(package_type: str, place: Project | Group | None, instance: Mapping[str, object]) -> bool:
    """Whether unknown names are forwarded from here: `<type>_package_requests_forwarding`, on unless switched off.

    `place` carries the settings in force in it; without a place the instance's decide (GitLab: cascading settings).
    """
    settings = place.settings if place is not None else instance
    return package_type in PUBLIC and settings.get(f"{package_type}_package_requests_forwarding", True) is not False
