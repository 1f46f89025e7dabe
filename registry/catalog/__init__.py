"""The catalog: the only package that changes packages. Each function is one transaction with its audit and change rows.

Lock order everywhere: the rows of the names, packages by id, the row of the index, the change log last.
"""

from registry.catalog.deleting import delete_file, delete_packages
from registry.catalog.editing import delete_tag, deprecate, set_status, set_tag, sign, yank
from registry.catalog.publishing import (
    Publication,
    Published,
    Staged,
    TakenElsewhere,
    check_free,
    publish,
    referred_to,
    release,
)
from registry.catalog.transactions import Moved

__all__ = [
    "Moved",
    "Publication",
    "Published",
    "Staged",
    "TakenElsewhere",
    "check_free",
    "delete_file",
    "delete_packages",
    "delete_tag",
    "deprecate",
    "publish",
    "referred_to",
    "release",
    "set_status",
    "set_tag",
    "sign",
    "yank",
]
