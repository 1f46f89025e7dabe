"""Backups: the database as of one moment, and every object that it refers to, in a directory or a tar file.

    database.dump     what pg_dump writes in its custom format
    objects/ab/cd/..  the objects, named by their keys
    backup.json       what it is; written last, so that what lacks it is not a backup

The database comes first. Objects never change, and one that is deleted meanwhile stays for the restore window, so what
the database refers to is still there when its turn comes. Objects of a local store are linked where that is possible: a
backup in the same file system costs no room until something is deleted, and no protection against a broken disk.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import orjson

from registry.errors import Invalid

DATABASE, OBJECTS, DESCRIPTION = "database.dump", "objects", "backup.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Description:
    """What a backup holds. `schema` is the number of the newest migration, `size` the bytes of all objects.

    `missing` are keys that the database refers to and the store did not have.
    """

    release: str
    schema: int
    created_at: str
    objects: int
    size: int
    missing: tuple[str, ...] = ()
    format: int = FORMAT

    def dump(self) -> bytes:
        """As `backup.json`."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def parse(text: bytes) -> Description:
    """Read `backup.json`. Raises Invalid for what this release does not know."""
    try:
        fields = orjson.loads(text)
        if fields["format"] != FORMAT:
            raise Invalid(f"the backup has format {fields['format']}, this release reads {FORMAT}")
        return Description(**{**fields, "missing": tuple(fields["missing"])})
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Invalid(f"{DESCRIPTION} is not the description of a backup") from error
