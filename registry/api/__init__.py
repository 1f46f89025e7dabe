"""GitLab's management API: packages, accounts, groups, projects, members, tokens, settings, audit."""

from __future__ import annotations

from registry.api import (
    access_tokens,
    audit_events,
    deploy_tokens,
    feed,
    grants,
    groups,
    hooks,
    members,
    mounts,
    packages,
    projects,
    protection_rules,
    settings,
    stages,
    tokens,
    users,
    version,
)
from registry.api.face import API_FACE
from registry.server.routes import Route

__all__ = ["API_FACE", "API_ROUTES"]

API_ROUTES: tuple[Route, ...] = (
    *version.ROUTES,
    *users.ROUTES,
    *tokens.ROUTES,
    *groups.ROUTES,
    *projects.ROUTES,
    *members.ROUTES,
    *access_tokens.ROUTES,
    *deploy_tokens.ROUTES,
    *settings.ROUTES,
    *hooks.ROUTES,
    *mounts.ROUTES,
    *packages.ROUTES,
    *feed.ROUTES,
    *protection_rules.ROUTES,
    *grants.ROUTES,
    *stages.ROUTES,
    *audit_events.ROUTES,
)
