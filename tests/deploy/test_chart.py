"""The Helm chart, rendered by Helm itself."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from registry import __version__, app
from registry.access import Ability
from registry.model import Level
from registry.settings import SECRETS, Settings, read
from tests.deploy import helm, manifests
from tests.deploy.manifests import Manifest, named, pod

GIVEN = {
    "externalUrl": "https://registry.example.com",
    "storageUrl": "s3://packages/prefix?region=eu-central-1",
    "secrets": {"existingSecret": "registry"},
}
ALL_SECRETS = {
    "existingSecret": "registry",
    "keys": {"databaseDirectUrl": "direct", "awsCredentials": "credentials"},
}
GATEWAY = {"enabled": True, "parentRefs": [{"name": "public", "namespace": "gateways"}]}
PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}
CASES: dict[str, dict[str, Any]] = {
    "minimal": {**GIVEN, "networkPolicy": {"enabled": False}, "migration": {"enabled": False}},
    "defaults": GIVEN,
    "ingress": {**GIVEN, "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "certificate"}},
    "uploads by host": {
        **GIVEN,
        "ingress": {"enabled": True},
        "uploads": {"enabled": True, "host": "upload.example.com", "settings": {"shutdown_seconds": 600}},
    },
    "uploads by method": {**GIVEN, "gateway": GATEWAY, "uploads": {"enabled": True}},
    "full": {
        **GIVEN,
        "secrets": ALL_SECRETS,
        "image": {"repository": "example.com/registry", "digest": f"sha256:{'0' * 64}"},
        "imagePullSecrets": [{"name": "pull"}],
        "settings": {"document_cache_bytes": 67108864, "trusted_proxies": "10.0.0.0/8", "stale_seconds": 0},
        "server": {
            "autoscaling": {"enabled": False},
            "nodeSelector": {"pool": "registry"},
            "tolerations": [{"key": "registry", "operator": "Exists"}],
            "podAnnotations": {"example.com/a": "b"},
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
            ],
        },
        "uploads": {"enabled": True, "settings": {"stale_seconds": 10}},
        "ingress": {"enabled": True, "nginx": False, "annotations": {"example.com/c": "d"}},
        "gateway": {**GATEWAY, "timeout": ""},
        "networkPolicy": {
            "clients": [PEER],
            "database": {"to": [{"ipBlock": {"cidr": "10.1.0.0/24"}}], "ports": [5432]},
            "extraEgress": [{"to": [PEER], "ports": [{"port": 80}]}],
        },
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/registry"}},
        "monitoring": {
            "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "rules": {"enabled": True},
            "dashboard": {"enabled": True},
        },
        "podLabels": {"team": "platform"},
        "priorityClassName": "important",
    },
}
VERSIONS = ("1.30", "1.37")


@pytest.fixture(scope="session")
def rendered(helm_python: str) -> dict[str, list[Manifest]]:
    """The manifests of each case."""
    answers = helm.render(helm_python, list(CASES.values()))
    refused = {name: answer for name, answer in zip(CASES, answers, strict=True) if isinstance(answer, str)}
    assert refused == {}
    return {
        name: manifests.documents(answer)
        for name, answer in zip(CASES, answers, strict=True)
        if not isinstance(answer, str)
    }


@pytest.mark.parametrize("case", CASES)
def test_every_manifest_is_what_kubernetes_accepts(rendered: dict[str, list[Manifest]], case: str) -> None:
    for manifest in rendered[case]:
        for version in VERSIONS:
            manifests.check_schema(manifest, version)


@pytest.mark.parametrize("case", CASES)
def test_every_pod_meets_the_restricted_profile(rendered: dict[str, list[Manifest]], case: str) -> None:
    workloads = [one for one in rendered[case] if one["kind"] in manifests.WORKLOADS]

    assert workloads
    assert [found for one in workloads for found in manifests.insecurities(pod(one))] == []


def test_the_checks_of_the_profile_find_what_breaks_it() -> None:
    template = {
        "spec": {
            "hostNetwork": True,
            "volumes": [{"name": "node", "hostPath": {"path": "/"}}],
            "containers": [{"name": "a", "ports": [{"hostPort": 1}], "securityContext": {"privileged": True}}],
        }
    }

    assert list(manifests.insecurities(template)) == [
        "hostNetwork is set",
        "volume node is a hostPath",
        "a: privileged",
        "a: may gain privileges",
        "a: keeps capabilities",
        "a: may run as root",
        "a: has no seccomp profile",
        "a: takes a port of the node",
        "a: may write to its root",
        "a: has no limit of memory",
    ]


def test_what_each_case_makes(rendered: dict[str, list[Manifest]]) -> None:
    kinds = {case: sorted(one["kind"] for one in found) for case, found in rendered.items()}
    server = ["Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Service"]
    default = [*server, "Job", "NetworkPolicy", "NetworkPolicy", "ServiceAccount"]

    assert kinds["minimal"] == sorted([*server, "ServiceAccount"])
    assert kinds["defaults"] == sorted(default)
    assert kinds["ingress"] == sorted([*default, "Ingress"])
    assert kinds["uploads by host"] == sorted([*default, *server, "Ingress"])
    assert kinds["uploads by method"] == sorted([*default, *server, "HTTPRoute"])
    extras = ["ConfigMap", "HTTPRoute", "Ingress", "PrometheusRule", "ServiceMonitor"]
    fixed = [kind for kind in server if kind != "HorizontalPodAutoscaler"]
    assert kinds["full"] == sorted([*default, *fixed, *extras])


@pytest.mark.parametrize("case", CASES)
def test_names_and_labels_find_each_other(rendered: dict[str, list[Manifest]], case: str) -> None:
    found = rendered[case]
    deployments = named(found, "Deployment")
    services = named(found, "Service")

    assert deployments.keys() == services.keys() == named(found, "PodDisruptionBudget").keys()
    for name, deployment in deployments.items():
        labels = pod(deployment)["metadata"]["labels"]
        selectors = [
            deployment["spec"]["selector"]["matchLabels"],
            services[name]["spec"]["selector"],
            named(found, "PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"],
        ]
        assert all(selector.items() <= labels.items() for selector in selectors)
        others = [pod(other)["metadata"]["labels"] for key, other in deployments.items() if key != name]
        assert not any(selector.items() <= other.items() for other in others for selector in selectors)
        ports = {port["name"] for port in pod(deployment)["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in services[name]["spec"]["ports"]} <= ports
    for autoscaler in named(found, "HorizontalPodAutoscaler").values():
        target = autoscaler["spec"]["scaleTargetRef"]["name"]
        (deployment,) = [one for one in deployments.values() if one["metadata"]["name"] == target]
        assert "replicas" not in deployment["spec"]
    for job in named(found, "Job").values():
        assert not any(
            service["spec"]["selector"].items() <= pod(job)["metadata"]["labels"].items()
            for service in services.values()
        )


@pytest.mark.parametrize("case", CASES)
def test_the_registry_understands_the_environment_of_every_pod(
    rendered: dict[str, list[Manifest]], case: str, tmp_path: Path
) -> None:
    for workload in rendered[case]:
        if workload["kind"] in manifests.WORKLOADS:
            settings = read(_environment(workload, tmp_path))
            assert settings.database_url is not None
            if workload["kind"] == "Deployment":
                assert (settings.host, settings.port, settings.base_url, settings.store_url) == (
                    "0.0.0.0",  # noqa: S104  # in a container
                    8080,
                    GIVEN["externalUrl"],
                    GIVEN["storageUrl"],
                )
            # Else a Service named `registry` becomes variables that look like settings, and the start is refused.
            assert pod(workload)["spec"]["enableServiceLinks"] is False


def _environment(workload: Manifest, directory: Path) -> Mapping[str, str]:
    """The environment of a container, with the files that its volumes would hold."""
    spec = pod(workload)["spec"]
    (container,) = spec["containers"]
    (secret,) = [volume["secret"] for volume in spec["volumes"] if "secret" in volume]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounts["secrets"]["readOnly"] is True
    home = Path(mounts["secrets"]["mountPath"])
    mounted = {home / item["path"] for item in secret["items"]}
    environment = {}
    for variable in container["env"]:
        assert variable.keys() == {"name", "value"}, "a secret in the environment"
        value = variable["value"]
        if variable["name"].endswith("_FILE"):
            assert Path(value) in mounted
            mounted.remove(Path(value))
            file = directory / Path(value).name
            file.write_text("postgresql://registry@db/registry\n")
            value = str(file)
        environment[variable["name"]] = value
    assert mounted == set()
    return {name: value for name, value in environment.items() if name.startswith("REGISTRY_")}


def test_settings_of_the_values_reach_the_registry_as_they_are(
    rendered: dict[str, list[Manifest]], tmp_path: Path
) -> None:
    deployments = named(rendered["full"], "Deployment")
    server, uploads = (read(_environment(deployments[name], tmp_path)) for name in ("", "uploads"))

    assert (server.document_cache_bytes, server.trusted_proxies, server.stale_seconds) == (67108864, "10.0.0.0/8", 0)
    assert (uploads.document_cache_bytes, uploads.stale_seconds) == (67108864, 10)
    assert server.database_direct_url is not None


@pytest.mark.parametrize("case", CASES)
def test_a_pod_has_the_time_its_settings_give_to_what_is_under_way(
    rendered: dict[str, list[Manifest]], case: str, tmp_path: Path
) -> None:
    for deployment in named(rendered[case], "Deployment").values():
        settings = read(_environment(deployment, tmp_path)).model_dump()
        spec = pod(deployment)["spec"]
        prestop = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        longest = max(seconds for name, seconds in settings.items() if name.startswith("shutdown_"))
        assert spec["terminationGracePeriodSeconds"] >= prestop + settings.get("drain_seconds", 0) + longest + 15


def test_probes_ask_routes_that_are_there(rendered: dict[str, list[Manifest]]) -> None:
    (container,) = pod(named(rendered["defaults"], "Deployment")[""])["spec"]["containers"]
    asked = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}

    assert asked == {"startup": "/-/readiness", "readiness": "/-/readiness", "liveness": "/-/liveness"}
    table = app.routes()
    assert [table.find("GET", path).endpoint.route.ability for path in asked.values()] == [Ability.PUBLIC] * 3
    # Longer than `registry serve` waits for Postgres and schema before it listens.
    assert container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"] > 60


def test_the_migration_runs_before_anything_else_and_knows_the_database_alone(
    rendered: dict[str, list[Manifest]], tmp_path: Path
) -> None:
    (job,) = named(rendered["full"], "Job").values()

    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert pod(job)["spec"]["containers"][0]["args"] == ["migrate"]
    assert _environment(job, tmp_path).keys() == {"REGISTRY_DATABASE_URL_FILE", "REGISTRY_DATABASE_DIRECT_URL_FILE"}
    policy = named(rendered["full"], "NetworkPolicy")["migration"]
    assert policy["metadata"]["annotations"]["helm.sh/hook"] == job["metadata"]["annotations"]["helm.sh/hook"]
    assert int(policy["metadata"]["annotations"]["helm.sh/hook-weight"]) < 0
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= pod(job)["metadata"]["labels"].items()
    # A service account of the release is not there yet.
    assert "serviceAccountName" not in pod(job)["spec"]


def test_the_network_is_closed_but_for_what_is_named(rendered: dict[str, list[Manifest]]) -> None:
    policy = named(rendered["full"], "NetworkPolicy")[""]["spec"]

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}], "from": [PEER]}]
    dns, database, storage, extra = policy["egress"]
    assert dns == {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    assert database == {
        "ports": [{"port": 5432, "protocol": "TCP"}],
        "to": [{"ipBlock": {"cidr": "10.1.0.0/24"}}],
    }
    assert storage["ports"] == [{"port": 443, "protocol": "TCP"}]
    assert {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]} in [peer["ipBlock"] for peer in storage["to"]]
    assert extra == {"to": [PEER], "ports": [{"port": 80}]}
    labels = [pod(one)["metadata"]["labels"] for one in named(rendered["full"], "Deployment").values()]
    component = policy["podSelector"]["matchExpressions"][0]
    assert {one["app.kubernetes.io/component"] for one in labels} == set(component["values"])


def test_an_ingress_shows_every_route_but_those_of_operators(rendered: dict[str, list[Manifest]]) -> None:
    ingress = named(rendered["ingress"], "Ingress")[""]
    (rule,) = ingress["spec"]["rules"]
    operators = {"/-/metrics", "/-/liveness", "/-/readiness"}

    def shown(path: str) -> bool:
        return any(
            path == one["path"] or (one["pathType"] == "Prefix" and path.startswith(one["path"].rstrip("/") + "/"))
            for one in rule["http"]["paths"]
        )

    templates = {endpoint.template for endpoint in app.routes().endpoints}
    assert {template for template in templates if not shown(template)} == operators
    annotations = ingress["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-body-size"] == "0"
    assert annotations["nginx.ingress.kubernetes.io/proxy-request-buffering"] == "off"
    assert int(annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]) >= 300
    assert ingress["spec"]["tls"] == [{"hosts": ["registry.example.com"], "secretName": "certificate"}]


def test_publishes_go_to_their_own_deployment_by_method(rendered: dict[str, list[Manifest]]) -> None:
    route = named(rendered["uploads by method"], "HTTPRoute")[""]["spec"]
    assert route["hostnames"] == ["registry.example.com"]

    def backend(method: str, path: str) -> str:
        for rule in route["rules"]:
            for match in rule["matches"]:
                prefix = match["path"]["value"].rstrip("/")
                same = path == match["path"]["value"]
                fits = same or (match["path"]["type"] == "PathPrefix" and path.startswith(f"{prefix}/"))
                if fits and match.get("method", method) == method:
                    return str(rule["backendRefs"][0]["name"])
        raise AssertionError(path)

    endpoints = [one for one in app.routes().endpoints if one.template.startswith("/api/")]
    publishing = [
        one
        for one in endpoints
        if one.format is not None
        and one.level is Level.PROJECT
        and one.route.ability is Ability.CREATE_PACKAGE
        and one.route.method in {"POST", "PUT"}
    ]
    reading = [one for one in endpoints if one.route.method in {"GET", "HEAD"}]
    assert {backend(one.route.method, one.template) for one in publishing} == {"packages-package-registry-uploads"}
    assert {backend(one.route.method, one.template) for one in reading} == {"packages-package-registry"}


def test_publishes_go_to_their_own_deployment_by_host(rendered: dict[str, list[Manifest]]) -> None:
    rules = named(rendered["uploads by host"], "Ingress")[""]["spec"]["rules"]

    assert {rule["host"]: {path["backend"]["service"]["name"] for path in rule["http"]["paths"]} for rule in rules} == {
        "registry.example.com": {"packages-package-registry"},
        "upload.example.com": {"packages-package-registry-uploads"},
    }


def test_prometheus_finds_every_service_and_gets_the_rules(rendered: dict[str, list[Manifest]]) -> None:
    found = rendered["full"]
    monitor = named(found, "ServiceMonitor")[""]["spec"]

    for service in named(found, "Service").values():
        assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert service["metadata"]["labels"][monitor["jobLabel"]] == "package-registry"
        assert monitor["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert app.routes().find("GET", monitor["endpoints"][0]["path"]).endpoint.route.path == "/-/metrics"
    source = helm.CHART.parent / "monitoring"
    assert named(found, "PrometheusRule")[""]["spec"] == yaml.safe_load((source / "alerts.yaml").read_text())
    (dashboard,) = named(found, "ConfigMap")["dashboard"]["data"].values()
    assert json.loads(dashboard) == json.loads((source / "dashboard.json").read_text())


def test_an_image_is_named_by_tag_or_digest(rendered: dict[str, list[Manifest]]) -> None:
    def images(case: str) -> set[str]:
        workloads = [one for one in rendered[case] if one["kind"] in manifests.WORKLOADS]
        return {pod(one)["spec"]["containers"][0]["image"] for one in workloads}

    assert images("defaults") == {f"package-registry:{__version__}"}
    assert images("full") == {f"example.com/registry@sha256:{'0' * 64}"}


def test_values_that_mean_nothing_are_refused(helm_python: str) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "externalUrl"),
        ({**GIVEN, "replicas": 3}, "replicas"),
        ({**GIVEN, "secrets": {"existingSecret": ""}}, "existingSecret"),
        ({**GIVEN, "storageUrl": "file:///objects"}, "storageUrl"),
        ({**GIVEN, "externalUrl": "registry.example.com"}, "externalUrl"),
        ({**GIVEN, "settings": {"documents": 1}}, "documents"),
        ({**GIVEN, "settings": {"database_url": "postgresql://"}}, "database_url"),
        ({**GIVEN, "settings": {"stale_seconds": -1}}, "stale_seconds"),
        ({**GIVEN, "settings": {"downloads": "maybe"}}, "downloads"),
        ({**GIVEN, "ingress": {"enabled": True}, "uploads": {"enabled": True}}, "uploads.host"),
        ({**GIVEN, "gateway": {"enabled": True}}, "gateway.parentRefs"),
    ]

    answers = helm.render(helm_python, [values for values, _ in wrong])

    assert [name for (_, name), answer in zip(wrong, answers, strict=True) if name not in str(answer)] == []
    assert [answer for answer in answers if not isinstance(answer, str)] == []


def test_helm_finds_nothing_to_complain_about(helm_python: str) -> None:
    found = helm.lint(helm_python, GIVEN)

    # An icon would be fetched from somewhere.
    assert [message["error"] for message in found["messages"]] == ["icon is recommended"]


def test_the_packed_chart_holds_the_rules_and_is_of_this_release(helm_python: str, tmp_path: Path) -> None:
    chart = yaml.safe_load((helm.CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__

    with tarfile.open(helm.package(helm_python, tmp_path)) as archive:
        names = {member.name for member in archive if member.isfile()}

    assert {"package-registry/files/alerts.yaml", "package-registry/files/dashboard.json"} <= names


def test_the_schema_knows_the_settings_and_every_value(helm_python: str) -> None:
    """`UPDATE_CHART=1` writes what this expects."""
    path = helm.CHART / "values.schema.json"
    schema = json.loads(path.read_text())

    expected = {**schema, "$defs": {**schema["$defs"], "settings": _settings_schema()}}
    if os.environ.get("UPDATE_CHART"):
        path.write_text(json.dumps(expected, indent=2) + "\n")
    else:
        assert schema == expected, "run UPDATE_CHART=1 pytest tests/deploy/test_chart.py"
    values = yaml.safe_load((helm.CHART / "values.yaml").read_text())
    assert values.keys() == schema["properties"].keys() - {"global"}


# The chart decides these itself, or they are of a single machine.
OWN = {"host", "port", "workers", "external_url", "data_dir", "storage_url", "postgres_binaries", "failpoint", *SECRETS}


def _settings_schema() -> dict[str, Any]:
    properties = {}
    for name, field in Settings.model_json_schema()["properties"].items():
        if name not in OWN:
            types = [one["type"] for one in field.get("anyOf", []) if one["type"] != "null"]
            kept = {key: field[key] for key in ("type", "enum", "minimum", "maximum", "description") if key in field}
            properties[name] = kept if "type" in kept else {"type": types[0], **kept}
    return {"type": "object", "additionalProperties": False, "properties": properties}
