"""Settings: the environment, read once. Nothing else reads it."""

from __future__ import annotations

import difflib
import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

PREFIX = "REGISTRY_"
_TRUST_ROOT = "application/vnd.dev.sigstore.trustedroot"
SECRETS = frozenset({"root_token", "database_url", "database_direct_url", "signing_key"})


class SettingsError(Exception):
    """The environment cannot be understood; the text says which variable and what it may be."""


class Settings(BaseModel):
    """Everything an operator sets through `REGISTRY_...`; the README's table is checked against the descriptions.

    A secret may also be given as `REGISTRY_..._FILE`, the path of a file that holds it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on")
    workers: int = Field(1, ge=1, le=64, description="processes sharing the port")
    external_url: str | None = Field(None, description="base of every URL in documents; `http://host:port` when unset")
    data_dir: Path = Field(Path("var"), description="embedded Postgres and local objects")
    database_url: SecretStr | None = Field(None, description="external Postgres, may be a pooler; embedded when unset")
    database_direct_url: SecretStr | None = Field(
        None, description="Postgres without the pooler, for migrations; the database URL when unset"
    )
    database_pool: int = Field(10, ge=2, le=200, description="Postgres connections per process")
    postgres_binaries: Path | None = Field(None, description="bin directory of the embedded Postgres")
    storage_url: str | None = Field(
        None, description="`s3://bucket/prefix?endpoint_url=...&region=...` or `file:///dir`; below the data directory"
    )
    downloads: Literal["auto", "redirect", "proxy"] = Field(
        "auto", description="`redirect` to presigned URLs, `proxy` the bytes, or `auto`: redirect where it is safe"
    )
    root_token: SecretStr | None = Field(
        None, description="personal access token of the admin `root`; generated and printed once when unset"
    )
    gitlab_url: str | None = Field(None, description="reserved for CI job tokens, which are not accepted yet")
    trusted_proxies: str = Field(
        "",
        description="comma-separated networks whose `X-Forwarded-For` names the client, for audit and limits",
    )
    trust_root: Path | None = Field(
        None, description="Sigstore `trusted_root.json` that attestations are verified against; unverified when unset"
    )
    hook_networks: str = Field(
        "", description="comma-separated networks that webhooks may reach although they are not public"
    )
    npm_tarball_names: Literal["gitlab", "canonical"] = Field(
        "gitlab", description="file form in npm documents: `@scope/pkg-1.0.0.tgz` or `pkg-1.0.0.tgz`; both are served"
    )
    signing_key: SecretStr | None = Field(
        None, description="private key (PEM, P-256) that signs npm versions; below the data directory if embedded"
    )
    stale_seconds: int = Field(60, ge=0, le=600, description="how long known reads go on while Postgres is away")
    drain_seconds: int = Field(
        0, ge=0, le=300, description="how long after SIGTERM connections are still taken, while readiness says no"
    )
    shutdown_seconds: int = Field(30, ge=0, le=3600, description="how long reads under way may go on after that")
    shutdown_upload_seconds: int = Field(300, ge=0, le=3600, description="and how long uploads may")
    document_cache_bytes: int = Field(
        256 * 1024**2, ge=1024**2, description="rendered pages kept in memory, per process"
    )
    slowest_client: int = Field(
        1024, ge=1, description="bytes per second below which a client that sends or takes a body is given up"
    )
    keep_alive_seconds: int = Field(
        75, ge=1, le=3600, description="how long an idle connection stays open; longer than the balancer's idle time"
    )
    upload_memory_bytes: int = Field(192 * 1024**2, ge=32 * 1024**2, description="memory all uploads may use together")
    upload_wait_seconds: int = Field(
        20, ge=0, le=300, description="how long an upload waits for memory before it is told to come back (429)"
    )
    free_space_bytes: int = Field(
        512 * 1024**2, ge=0, description="room that uploads leave on the disk of the local object store (else 507)"
    )
    store_failures: int = Field(
        5, ge=0, description="failures in a row after which the object store is left alone until it answers; 0: never"
    )
    failed_sign_ins: int = Field(
        10, ge=1, description="different unknown tokens in a minute after which an address may show no further new one"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")
    failpoint: str | None = Field(None, description="for tests of crashes: `name:kill`, or `:raise`, `:hang`, `:full`")

    @field_validator("external_url", "gitlab_url")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
            raise ValueError("must be an http or https URL")
        if parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError("must be an http or https URL without credentials and query")
        return value.rstrip("/")

    @field_validator("trusted_proxies", "hook_networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        for network in filter(None, value.replace(" ", "").split(",")):
            ipaddress.ip_network(network)
        return value

    @field_validator("trust_root")
    @classmethod
    def _is_trust_root(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        try:
            root = json.loads(value.read_bytes())
        except (OSError, ValueError):
            raise ValueError("must be a readable JSON file") from None
        if not isinstance(root, dict) or not str(root.get("mediaType", "")).startswith(_TRUST_ROOT):
            raise ValueError(f"must be a file of media type {_TRUST_ROOT}")
        return value.absolute()

    @property
    def base_url(self) -> str:
        """Scheme, host and port in front of every URL the server writes; no trailing slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.external_url or f"http://{host}:{self.port}"

    @property
    def store_url(self) -> str:
        """Where objects live, as `registry.storage.open_store` reads it."""
        return self.storage_url or (self.data_dir.absolute() / "objects").as_uri()

    def proxies(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """The networks of `trusted_proxies`."""
        return _networks(self.trusted_proxies)

    def hook_ranges(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """The networks of `hook_networks`."""
        return _networks(self.hook_networks)


def _networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(one) for one in text.replace(" ", "").split(",") if one)


def read(environment: Mapping[str, str]) -> Settings:
    """Settings from the environment. Raises SettingsError for an unknown variable, naming the nearest known one."""
    known = set(Settings.model_fields)
    values: dict[str, str] = {}
    for variable, value in environment.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name.removesuffix("_file") in SECRETS and name.endswith("_file"):
            name, value = name.removesuffix("_file"), _secret_file(variable, value)  # noqa: PLW2901
            if value != "" and environment.get(variable[: -len("_FILE")]):
                raise SettingsError(f"{variable} and {variable[: -len('_FILE')]} are both set: one is enough")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise SettingsError(f"{variable} is not a setting; did you mean {PREFIX}{near.upper()}?")
        if value != "":
            values[name] = value
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_readable(error)) from None


def _secret_file(variable: str, path: str) -> str:
    if path == "":
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{variable} names a file that cannot be read: {error.strerror}") from error
    except ValueError:
        raise SettingsError(f"{variable} names a file that holds no text") from None


def _readable(error: ValidationError) -> str:
    return "; ".join(f"{PREFIX}{'.'.join(map(str, d['loc'])).upper()}: {d['msg']}" for d in error.errors())
