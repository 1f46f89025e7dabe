"""Settings: those of the instance, and the ones among them that groups and projects may have for themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from registry import accounts, staging
from registry.access import Ability
from registry.server import content, limits, responses
from registry.server.context import Context
from registry.server.parameters import Parameter, given
from registry.server.routes import Route

_FORWARDING = tuple(
    Parameter(
        f"{package_type}_package_requests_forwarding",
        "boolean",
        f"send requests for unknown {package_type} packages to the public registry",
        nullable=True,
    )
    for package_type in ("npm", "pypi")
)
_LOCKS = tuple(
    Parameter(f"lock_{one.name}", "boolean", f"keep what is below from changing {one.name}", nullable=True)
    for one in _FORWARDING
)
_STRICTNESS = (
    Parameter(
        "pypi_validation", description="how strictly uploads are checked", values=("basic", "standard", "strict"),
        nullable=True,
    ),
    Parameter(
        "npm_validation", description="how strictly publishes are checked", values=("default", "strict"), nullable=True
    ),
    Parameter(
        "immutable_file_names", "boolean", "refuse other content under the name of a deleted file", nullable=True
    ),
)  # fmt: skip

_IDENTITIES = Parameter(
    "attestation_identities",
    "strings",
    "who may sign attestations, each `issuer identity`, with `*` in the identity for any text; verified against the"
    " trust root",
    nullable=True,
)

_STAGES = (
    Parameter(
        "package_stages_required", "boolean", "refuse what is published without a stage", nullable=True
    ),
    Parameter(
        "package_stages_four_eyes", "boolean", "let only persons promote a stage, and none who put files into it",
        nullable=True,
    ),
    Parameter(
        "package_stage_days", "integer", "how long a stage stays, in days", nullable=True, least=1, most=365
    ),
)  # fmt: skip

_ANYONE = Parameter(
    "package_registry_allow_anyone_to_pull_option",
    "boolean",
    "let projects open their packages to anyone (package_registry_access_level: public)",
    nullable=True,
)

_NAMESPACES = Parameter(
    "pypi_namespaces",
    "boolean",
    "serve simple API 1.5: project pages and two endpoints tell of reserved prefixes (PEP 752)",
    nullable=True,
)

# What a layer may set; null takes a setting out of the layer, so that the one above decides again.
PROJECT_SETTINGS = (*_FORWARDING, *_STRICTNESS, _IDENTITIES, *_STAGES)
GROUP_SETTINGS = (*_FORWARDING, *_LOCKS, *_STRICTNESS, _IDENTITIES, *_STAGES)
INSTANCE_SETTINGS = (*GROUP_SETTINGS, _ANYONE, _NAMESPACES, *limits.PARAMETERS)

DEFAULTS: Mapping[str, object] = {
    **{one.name: True for one in _FORWARDING},
    **{one.name: False for one in _LOCKS},
    "pypi_validation": "basic",
    "npm_validation": "default",
    "immutable_file_names": False,
    _IDENTITIES.name: [],
    "package_stages_required": False,
    "package_stages_four_eyes": False,
    "package_stage_days": staging.DAYS,
    _ANYONE.name: True,
    _NAMESPACES.name: False,
    **limits.DEFAULTS,
}

# In bytes (GitLab: instance limits, file size limits). The upper bound is the largest object of S3.
LIMITS: Mapping[str, int] = {"npm_max_file_size": 524_288_000, "pypi_max_file_size": 3_221_225_472}
_LIMIT_PARAMETERS = tuple(
    Parameter(name, "integer", "largest file accepted, in bytes", nullable=True, least=1, most=5 * 1024**4)
    for name in LIMITS
)
_PLAN = Parameter("plan_name", description="there is one plan", values=("default",), default="default")

_SHOWN = content.entity("ApplicationSettings", content.fields(INSTANCE_SETTINGS))
_SHOWN_LIMITS = content.entity("PlanLimits", content.fields(_LIMIT_PARAMETERS))


def in_force(settings: Mapping[str, object], parameters: tuple[Parameter, ...]) -> dict[str, object]:
    """The declared settings with their defaults."""
    return {one.name: settings.get(one.name, DEFAULTS[one.name]) for one in parameters}


def chosen(values: Mapping[str, Any], parameters: tuple[Parameter, ...]) -> dict[str, Any]:
    """Those of the given values that are settings."""
    names = {one.name for one in parameters}
    return {name: value for name, value in values.items() if name in names}


async def show(context: Context) -> web.Response:
    """Retrieve the settings of the instance."""
    return responses.json(in_force(await context.services.lookups.settings(), INSTANCE_SETTINGS))


async def update(context: Context) -> web.Response:
    """Change settings of the instance; null returns one to its default."""
    changed = chosen(await given(context), INSTANCE_SETTINGS)
    settings = await accounts.update_settings(context.services.db, context.author, changed)
    return responses.json(in_force(settings, INSTANCE_SETTINGS))


async def show_limits(context: Context) -> web.Response:
    """Retrieve the file size limits."""
    await given(context)
    return responses.json(_limits(await context.services.lookups.settings()))


async def update_limits(context: Context) -> web.Response:
    """Change file size limits; null returns one to its default."""
    changed = chosen(await given(context), _LIMIT_PARAMETERS)
    return responses.json(_limits(await accounts.update_settings(context.services.db, context.author, changed)))


def _limits(settings: Mapping[str, object]) -> dict[str, object]:
    return {name: settings.get(name, limit) for name, limit in LIMITS.items()}


ROUTES = (
    Route("GET", "/api/v4/application/settings", show, Ability.INSPECT_INSTANCE, answers={200: _SHOWN}),
    Route("PUT", "/api/v4/application/settings", update, Ability.ADMIN_INSTANCE, parameters=INSTANCE_SETTINGS,
          answers={200: _SHOWN}),
    Route("GET", "/api/v4/application/plan_limits", show_limits, Ability.INSPECT_INSTANCE, parameters=(_PLAN,),
          answers={200: _SHOWN_LIMITS}),
    Route("PUT", "/api/v4/application/plan_limits", update_limits, Ability.ADMIN_INSTANCE,
          parameters=(replace(_PLAN, default=None, required=True), *_LIMIT_PARAMETERS), answers={200: _SHOWN_LIMITS}),
)  # fmt: skip
