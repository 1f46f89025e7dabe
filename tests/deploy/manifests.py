"""What holds for manifests: the pod security standard `restricted`, and schemas of what Kubernetes does not ship."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

Manifest = dict[str, Any]

WORKLOADS = {"Deployment", "Job"}
# Pod Security Standards, restricted: the volume types that are allowed.
VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"),
}


def documents(files: Mapping[str, str]) -> list[Manifest]:
    """The manifests in rendered templates."""
    return [
        one
        for path, text in files.items()
        if not path.endswith("NOTES.txt")
        for one in yaml.safe_load_all(text)
        if one is not None
    ]


def named(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """The manifests of a kind, by name without the release's."""
    return {
        one["metadata"]["name"].removeprefix("packages-package-registry").removeprefix("-"): one
        for one in manifests
        if one["kind"] == kind
    }


def pod(manifest: Manifest) -> Manifest:
    """The pod template of a workload."""
    template: Manifest = manifest["spec"]["template"]
    return template


def check_schema(manifest: Manifest, version: str) -> None:
    """Raise when a manifest is not what this version of Kubernetes, or the operator behind the kind, accepts."""
    schema = CUSTOM.get((manifest["apiVersion"], manifest["kind"]))
    if schema is None:
        kubernetes_validate.validate(manifest, version, strict=True)
    else:
        jsonschema.validate(manifest, schema)


def insecurities(template: Manifest) -> Iterator[str]:
    """What keeps a pod out of a namespace with the standard `restricted`, and what goes beyond it here."""
    spec = template["spec"]
    for field in ("hostNetwork", "hostPID", "hostIPC", "hostUsers"):
        if spec.get(field):
            yield f"{field} is set"
    for volume in spec.get("volumes", []):
        for kind in volume.keys() - {"name"} - VOLUMES:
            yield f"volume {volume['name']} is a {kind}"
    whole = spec.get("securityContext", {})
    if set(whole) & {"sysctls", "seLinuxOptions", "windowsOptions", "appArmorProfile"}:
        yield "the pod changes its confinement"
    for container in (*spec["containers"], *spec.get("initContainers", []), *spec.get("ephemeralContainers", [])):
        yield from (f"{container['name']}: {found}" for found in _of_container(container, whole))


def _of_container(container: Manifest, whole: Manifest) -> Iterator[str]:
    own = container.get("securityContext", {})
    both = {**whole, **own}
    if own.get("privileged") or own.get("procMount", "Default") != "Default":
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if "ALL" not in own.get("capabilities", {}).get("drop", []) or own["capabilities"].get("add"):
        yield "keeps capabilities"
    if both.get("runAsNonRoot") is not True or both.get("runAsUser", 0) == 0:
        yield "may run as root"
    if both.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        yield "has no seccomp profile"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "takes a port of the node"
    # Beyond the standard.
    if own.get("readOnlyRootFilesystem") is not True:
        yield "may write to its root"
    if "memory" not in container.get("resources", {}).get("limits", {}):
        yield "has no limit of memory"


def _closed(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": properties,
        "additionalProperties": False,
    }


_STRING = {"type": "string", "minLength": 1}
_LABELS = {"type": "object", "additionalProperties": {"type": "string"}}
_METADATA = _closed(("name", "namespace"), name=_STRING, namespace=_STRING, labels=_LABELS, annotations=_LABELS)
_DURATION = {"type": "string", "pattern": r"^(\d+(ms|s|m|h|d|w))+$"}


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items}


def _custom(api: str, kind: str, spec: Any) -> dict[str, Any]:
    return _closed(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion={"const": api},
        kind={"const": kind},
        metadata=_METADATA,
        spec=spec,
    )


# The fields the chart uses, as the definitions of Gateway API v1.2 and of the Prometheus operator v0.80 describe them.
_MATCH = _closed(
    ("path",),
    path=_closed(("type", "value"), type={"enum": ["Exact", "PathPrefix"]}, value={"type": "string", "pattern": "^/"}),
    method={"enum": ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]},
)
_ROUTE_RULE = _closed(
    ("matches", "backendRefs"),
    matches={**_list(_MATCH), "maxItems": 64},
    backendRefs=_list(_closed(("name", "port"), name=_STRING, port={"type": "integer"})),
    timeouts=_closed(
        (),
        **{key: {"pattern": r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"} for key in ("request", "backendRequest")},
    ),
)
_ROUTE = _closed(
    ("parentRefs", "hostnames", "rules"),
    parentRefs=_list(
        _closed(("name",), name=_STRING, namespace=_STRING, sectionName=_STRING, port={"type": "integer"})
    ),
    hostnames=_list(_STRING),
    rules={**_list(_ROUTE_RULE), "maxItems": 16},
)
_MONITOR = _closed(
    ("selector", "endpoints"),
    jobLabel=_STRING,
    selector=_closed((), matchLabels=_LABELS),
    endpoints=_list(_closed(("port",), port=_STRING, path=_STRING, interval=_DURATION, scrapeTimeout=_DURATION)),
)
_RULE = _closed(
    ("expr",),
    alert=_STRING,
    record=_STRING,
    expr=_STRING,
    **{"for": _DURATION},
    labels=_LABELS,
    annotations=_LABELS,
)
_RULES = _closed(("groups",), groups=_list(_closed(("name", "rules"), name=_STRING, rules=_list(_RULE))))

CUSTOM: Mapping[tuple[str, str], dict[str, Any]] = {
    (api, kind): _custom(api, kind, spec)
    for api, kind, spec in (
        ("gateway.networking.k8s.io/v1", "HTTPRoute", _ROUTE),
        ("monitoring.coreos.com/v1", "ServiceMonitor", _MONITOR),
        ("monitoring.coreos.com/v1", "PrometheusRule", _RULES),
    )
}
