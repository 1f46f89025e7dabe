"""The matrix: every failpoint with the deeds that come by it, the stores they need, and what it may do to them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from registry import failpoints
from tests.faults.deeds import DEEDS

STORES = ("local", "s3")
# Set by `python -m tests.faults --full`.
FULL = bool(os.environ.get("FULL_FAULT_MATRIX"))

_PUBLISHING = ("twine upload", "npm publish")
_PUBLISHING_LARGE = ("twine upload of a large file", "npm publish of a large tarball")
_REPEATING = ("twine upload, repeated", "npm publish, repeated")
_DELETING = ("deletion of a package", "deletion of a file", "npm unpublish", "npm unpublish of a version")
_TAGGING = ("npm dist-tag add", "npm dist-tag rm")

# Which deeds come by the points whose names begin so. Those of the clean-up and of migrations have tests of their own.
_DEEDS = {
    "ingest.": _PUBLISHING,
    "local.": _PUBLISHING,
    "multipart.": _PUBLISHING_LARGE,
    "inspection.": _PUBLISHING,
    "publish.": _PUBLISHING,
    "discard.": _REPEATING,
    "delete.": _DELETING,
    "tag.": _TAGGING,
    "deprecate.": ("npm deprecate",),
    "stage.": ("twine upload to a stage", "npm stage publish"),
    "promote.": ("promotion of a stage", "npm stage approve"),
    "drop.": ("drop of a stage", "npm stage reject"),
}
_OF_ONE_STORE = ("local.", "multipart.")
OFFLINE = ("gc.", "trim.", "migration.")


@dataclass(frozen=True)
class Cell:
    """One deed that comes by an armed failpoint, for the `time`-th time."""

    point: str
    deed: str
    time: int = 1

    @property
    def committed(self) -> bool:
        """Whether the deed is done where the failpoint is, though nobody has been told."""
        return self.point.endswith(".after-commit") or not DEEDS[self.deed].changes


def cells(store: str, package_type: str) -> Iterator[Cell]:
    """The cells of a store and a format.

    Every point and action with every format, on the two stores in turn where it is in both; with `FULL` on each.
    """
    for number, cell in enumerate(every_cell(store, package_type)):
        if FULL or cell.point.startswith(_OF_ONE_STORE) or number % len(STORES) == STORES.index(store):
            yield cell


def every_cell(store: str, package_type: str) -> Iterator[Cell]:
    """Every cell of a store and a format; those of both stores come in the same order."""
    own = "local." if store == "local" else "multipart."
    shared = [name for name in failpoints.NAMES if not name.startswith((*OFFLINE, *_OF_ONE_STORE))]
    for point in (*shared, *(name for name in failpoints.NAMES if name.startswith(own))):
        # Also the second of three parts: with one stored, one under way, and one to come.
        times = (1, 2) if point.endswith("-part") else (1,)
        for deed in _DEEDS[point[: point.index(".") + 1]]:
            if DEEDS[deed].package_type == package_type:
                yield from (Cell(point, deed, time) for time in times)
