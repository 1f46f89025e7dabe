"""Who gets how far, for every ability at every level: the one table that the access matrix is checked against.

A cell is what somebody is answered in a public, an internal and a private place, in this order:

    +   the handler is reached
    1   401    3   403    4   404
    h   what the face of the route tells anonymous callers about a hidden place
    l   what it tells them about a place they see and may not use like this

At instance level there is no place, and a cell is one letter. The places are a group and a project inside it, both of
the same visibility. Roles are memberships of the group; tokens with other scopes are those of an owner, and good or not
they belong to a project or group only where the row says so.
"""

from __future__ import annotations

from registry.access import Ability
from registry.model import Level
from registry.server.routes import Endpoint, Face

PROJECT = """
                      public  read_project  read_package  create_package  destroy_package  inspect_project  maintain_project  admin_project
anonymous             +++     +hh           +hh           lhh             lhh              lhh              lhh               lhh
outsider              +++     ++4           ++4           334             334              334              334               334
guest                 +++     +++           +++           333             333              333              333               333
reporter              +++     +++           +++           333             333              333              333               333
developer             +++     +++           +++           +++             333              333              333               333
maintainer            +++     +++           +++           +++             +++              +++              +++               333
owner                 +++     +++           +++           +++             +++              +++              +++               +++
admin                 +++     +++           +++           +++             +++              +++              +++               +++
read_api              +++     +++           +++           333             333              +++              333               333
read_user             +++     333           333           333             333              333              333               333
expired               111     111           111           111             111              111              111               111
revoked               111     111           111           111             111              111              111               111
deploy_read           +++     +++           +++           333             333              333              333               333
deploy_write          +++     +++           +++           +++             +++              333              333               333
group_deploy_read     +++     +++           +++           333             333              333              333               333
group_deploy_write    +++     +++           +++           +++             +++              333              333               333
foreign_deploy_write  +++     +44           +44           344             344              333              333               333
"""  # noqa: E501  # a table is read by its columns

GROUP = """
                      public  read_group  read_package  create_in_group  inspect_group  maintain_group  oversee_group  admin_group
anonymous             +++     +hh         +hh           lhh              lhh            lhh             lhh            lhh
outsider              +++     ++4         ++4           334              334            334             334            334
guest                 +++     +++         +++           333              333            333             333            333
reporter              +++     +++         +++           333              333            333             333            333
developer             +++     +++         +++           +++              333            333             333            333
maintainer            +++     +++         +++           +++              +++            +++             333            333
owner                 +++     +++         +++           +++              +++            +++             +++            +++
admin                 +++     +++         +++           +++              +++            +++             +++            +++
read_api              +++     +++         +++           333              +++            333             +++            333
read_user             +++     333         333           333              333            333             333            333
expired               111     111         111           111              111            111             111            111
revoked               111     111         111           111              111            111             111            111
deploy_read           +++     333         +44           333              333            333             333            333
deploy_write          +++     333         +44           333              333            333             333            333
group_deploy_read     +++     333         +++           333              333            333             333            333
group_deploy_write    +++     333         +++           333              333            333             333            333
foreign_deploy_write  +++     333         +44           333              333            333             333            333
"""  # noqa: E501

# `open` is a public route of no format, which does not even look at credentials.
INSTANCE = """
                      open  public  anyone  signed_in  itself  read_user  read_api  use_api  inspect_instance  admin_instance  read_package
anonymous             +     +       +       1          1       1          1         1        1                 1               +
outsider              +     +       +       +          +       +          +         +        3                 3               +
guest                 +     +       +       +          +       +          +         +        3                 3               +
reporter              +     +       +       +          +       +          +         +        3                 3               +
developer             +     +       +       +          +       +          +         +        3                 3               +
maintainer            +     +       +       +          +       +          +         +        3                 3               +
owner                 +     +       +       +          +       +          +         +        3                 3               +
admin                 +     +       +       +          +       +          +         +        +                 +               +
read_api              +     +       +       +          +       +          +         3        3                 3               +
read_user             +     +       3       3          +       +          3         3        3                 3               3
expired               +     1       1       1          1       1          1         1        1                 1               1
revoked               +     1       1       1          1       1          1         1        1                 1               1
deploy_read           +     +       3       +          3       3          3         3        3                 3               +
deploy_write          +     +       3       +          3       3          3         3        3                 3               +
group_deploy_read     +     +       3       +          3       3          3         3        3                 3               +
group_deploy_write    +     +       3       +          3       3          3         3        3                 3               +
foreign_deploy_write  +     +       3       +          3       3          3         3        3                 3               +
"""  # noqa: E501

# What is said about a project or group that does not exist: `u` is the word of the face for anonymous callers. Who is
# out of scope hears that, whatever exists; abilities that all users have in some place are meant here.
ABSENT = {"anonymous": "u", "outsider": "4", "owner": "4", "admin": "4", "read_user": "3", "expired": "1"}

VISIBILITIES = ("public", "internal", "private")
REACHED = 299
_STATUSES = {"+": REACHED, "1": 401, "3": 403, "4": 404}


def _parsed(table: str) -> dict[tuple[str, str], str]:
    head, *lines = table.strip("\n").splitlines()
    columns = head.split()
    rows = [line.split() for line in lines]
    return {(caller, column): cell for caller, *cells in rows for column, cell in zip(columns, cells, strict=True)}


_TABLES = {Level.PROJECT: _parsed(PROJECT), Level.GROUP: _parsed(GROUP), None: _parsed(INSTANCE)}
CALLERS = tuple(dict.fromkeys(caller for caller, _ in _TABLES[None]))


def expected(endpoint: Endpoint, caller: str, visibility: str) -> int:
    """The status for a caller. Raises KeyError for an ability that has no column at the level of the endpoint."""
    level = endpoint.level if endpoint.level in {Level.PROJECT, Level.GROUP} else None
    ability = endpoint.route.ability
    if "deploy" in caller and not endpoint.face.deploy_tokens:
        # Nobody there, as on GitLab (contract 2.1).
        caller = "anonymous"
    column = "open" if ability is Ability.PUBLIC and endpoint.level is None else ability.value
    cell = _TABLES[level][caller, column]
    return _status(cell if level is None else cell[VISIBILITIES.index(visibility)], endpoint.face)


def expected_absent(endpoint: Endpoint, caller: str) -> int:
    """The status for a caller who asks about a project or group that does not exist."""
    public = endpoint.route.ability is Ability.PUBLIC
    cell = "4" if public and caller == "read_user" else ABSENT[caller]
    return _status(cell, endpoint.face)


def _status(cell: str, face: Face) -> int:
    words = {"u": face.unknown.status, "h": face.hidden.status, "l": face.lacking.status}
    return words[cell] if cell in words else _STATUSES[cell]
