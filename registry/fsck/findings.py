"""Findings: what a check may say, and what it is asked to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Literal

from registry.db.fsck import StoredTag, StoredVersion

MIN_AGE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    `error`: something that is or could be served is wrong or lost; `warning`: room is wasted or an answer may be late.
    `kind` names the rule, `what` is a sentence that names the thing. `repaired` says that it is mended now.
    """

    kind: str
    severity: Literal["error", "warning"]
    what: str
    repaired: bool = False

    def facts(self) -> dict[str, object]:
        """The fields, for a line of JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Mode:
    """What to do. `deep`: read every object and hash it. `min_age`: younger objects without a row are left alone."""

    deep: bool = False
    repair: bool = False
    min_age: timedelta = MIN_AGE


@dataclass(frozen=True, slots=True)
class StoredName:
    """Everything stored about one name of one project: what a format's pages are made of."""

    normalized_name: str
    versions: Sequence[StoredVersion]
    tags: Sequence[StoredTag]


Examine = Callable[[StoredName], Iterable[str]]
"""A format's own check: parses and renders what is stored, and says each thing that is wrong in a sentence."""
