"""Manifests: the JSON text about one version that is stored, and served without being parsed again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from registry.errors import Invalid
from registry.formats.npm import coherence
from registry.formats.npm.publication import Publication
from registry.formats.npm.tarball import Inspection

MANIFEST_LIMIT = 1024 * 1024  # bytes of the full text; GitLab's 20,000 characters refuse well-known packages

# The fields of the abbreviated form (npm registry, "package metadata"), less `dist` and `deprecated`.
ABBREVIATED = (
    "name",
    "version",
    "dependencies",
    "optionalDependencies",
    "devDependencies",
    "bundleDependencies",
    "peerDependencies",
    "peerDependenciesMeta",
    "acceptDependencies",
    "bin",
    "directories",
    "engines",
    "os",
    "cpu",
    "libc",
    "funding",
    "_hasShrinkwrap",
    "hasInstallScript",
)
# Texts nobody reads from here; what the server knows better or adds when it renders; fields that only bun sends.
_DROPPED = frozenset(
    {
        "readme",
        "licenseText",
        "dist",
        "deprecated",
        "maintainers",
        "hasInstallScript",
        "bundleDependencies",
        "bundledDependencies",
        "integrity",
        "shasum",
    }
)
# Of the private fields only these are meant for readers; others (`_resolved`, `_from`, `_where`) hold local paths.
_PRIVATE_KEPT = frozenset({"_nodeVersion", "_npmVersion"})


@dataclass(frozen=True, slots=True)
class Manifest:
    """JSON objects for the full and the abbreviated document, both without `dist`, `deprecated` and `_npmUser`."""

    full: bytes
    abbreviated: bytes


def build(publication: Publication, inspection: Inspection, *, limit: int = MANIFEST_LIMIT) -> Manifest:
    """The manifest to store, once `coherence.check` has passed. Raises Invalid when it is larger than `limit` bytes."""
    sent = publication.manifest
    fields = {key: value for key, value in sent.items() if key not in _DROPPED and not key.startswith("_")}
    fields |= {key: value for key, value in sent.items() if key in _PRIVATE_KEPT}
    fields["_id"] = f"{publication.name.text}@{publication.version}"
    if bundled := coherence.bundle_dependencies(sent):
        fields["bundleDependencies"] = bundled
    if has_install_script(sent, inspection):
        fields["hasInstallScript"] = True
    if inspection.has_shrinkwrap:
        fields["_hasShrinkwrap"] = True
    full = orjson.dumps(fields)
    if len(full) > limit:
        raise Invalid(f"Validation failed: Package json structure is too large. Maximum size is {limit} characters")
    return Manifest(full, orjson.dumps({key: fields[key] for key in ABBREVIATED if key in fields}))


def has_install_script(manifest: Mapping[str, object], inspection: Inspection) -> bool:
    """Whether installing runs code: an install script, or a binding.gyp that npm builds unasked."""
    builds = inspection.has_binding_gyp and inspection.package_json.get("gypfile") is not False
    return builds or any(coherence.install_scripts(manifest).values())
