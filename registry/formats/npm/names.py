"""npm package names, the tarball file names made of them, and the paths that hold them.

Look-ups are case-sensitive and lenient (`JSONStream`, names of the early days); a name is judged only when
something is published under it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from registry.errors import Invalid
from registry.formats.npm import semver
from registry.formats.npm.strictjson import show

MAX_LENGTH = 214  # characters with the scope: validate-npm-package-name

# What any registry has ever stored: the characters encodeURIComponent leaves alone, and the `+` GitLab allows.
_LOOKUP = re.compile(r"(?:@(?P<scope>[A-Za-z0-9~'!()*+._-]+)/)?(?P<bare>[A-Za-z0-9~'!()*+._-]+)")

# GitLab's npm name pattern: an optional namespace path, then letters of either case, digits and - + . _
_GITLAB = re.compile(
    r"(?:@(?:[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}[A-Za-z0-9_-]|[A-Za-z0-9_])(?<!\.git)(?<!\.atom)/)?[A-Za-z0-9+._-]+"
)
# What npm cannot install by any spelling (`npm-package-arg`), and `-`, which starts the registry's own routes.
_RESERVED = frozenset({"node_modules", "favicon.ico"})

INVALID_NAME = (
    "Validation failed: Name should be a valid NPM package name: "
    "https://github.com/npm/validate-npm-package-name#naming-rules."
)


@dataclass(frozen=True, slots=True)
class Name:
    """A package name: `text` as written, `scope` without its `@` (None when unscoped), `bare` without the scope."""

    text: str
    scope: str | None
    bare: str

    def file_name(self, version: str, *, canonical: bool) -> str:
        """The tarball's name: `name-1.0.0.tgz` as npm writes it, else `@scope/name-1.0.0.tgz` as GitLab does."""
        return f"{self.bare if canonical else self.text}-{version}.tgz"

    def stored_file_name(self, version: str) -> str:
        """What a version is stored as: GitLab's form, less build metadata, which makes no other version."""
        return self.file_name(semver.parse(version).identity, canonical=False)

    def purl(self, version: str) -> str:
        """The package URL of a version, spelled as npm does it (npm-package-arg, `toPurl`)."""
        return f"pkg:npm/{self.text.replace('@', '%40', 1)}@{version}"

    def version_of(self, file_name: str) -> str | None:
        """The version a tarball's file name, in either form, stands for; None when it is no tarball of this name."""
        if not file_name.endswith(".tgz"):
            return None
        for stem in (self.text, self.bare):
            if file_name.startswith(f"{stem}-"):
                version = file_name[len(stem) + 1 : -len(".tgz")]
                return version if semver.is_valid(version) else None
        return None


def parse(text: str) -> Name:
    """Read a decoded name that somebody asks for. Raises Invalid for what cannot be a package name at all."""
    match = _LOOKUP.fullmatch(text)
    if match is None or len(text) > MAX_LENGTH or not all(part.strip(".") for part in match.groups(default="-")):
        raise Invalid(f"{show(text)} is not an npm package name")
    return Name(text, match["scope"], match["bare"])


def parse_new(text: str) -> Name:
    """Read a name to publish under: what GitLab accepts, less what no npm client could install.

    Capitals are accepted as in GitLab, where `JSONStream` can be published. Raises Invalid with GitLab's text.
    """
    if not _GITLAB.fullmatch(text) or len(text) > MAX_LENGTH:
        raise Invalid(INVALID_NAME)
    name = parse(text)
    if text[0] in "._" or name.bare[0] == "." or name.bare == "-" or text.lower() in _RESERVED:
        raise Invalid(INVALID_NAME)
    return name


def split(path: str) -> tuple[Name, str]:
    """Split a decoded path `name[/rest]` or `@scope/name[/rest]` into the name and the rest (maybe empty).

    Raises Invalid when it does not start with a package name.
    """
    parts = path.split("/", 2 if path.startswith("@") else 1)
    length = 2 if path.startswith("@") else 1
    return parse("/".join(parts[:length])), "/".join(parts[length:])
