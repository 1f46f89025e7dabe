"""A package registry for PyPI and npm that speaks GitLab's package APIs.

The map. The number is a module's rank: it imports only lower ranks and its own siblings
(`tests/test_architecture.py` keeps that).

    __main__         8  python -m registry
    cli/             8  the commands operators type, and the start of the processes that serve
    app              7  settings -> running application; the only module that knows every part
    formats/         6  pypi/ and npm/: everything specific to one package type
    api/             6  GitLab's management API
    janitor          6  clean-up of what nobody refers to any more
    server/          5  the aiohttp edge: routes, credentials, bodies, responses
    standings        5  status of names, yanks of files: found, checked, changed
    staging          5  the only module that changes stages: sets of files that become visible at once
    sign_in          5  a client let in through a browser, by way of Postgres
    services         4  what a handler may use
    catalog/         4  the only package that changes packages
    tree             4  the only module that changes groups, projects and members
    derived_tokens   4  the only module that makes and revokes tokens with other tokens
    access_tokens    4  the only module that rotates and revokes access tokens, and makes bots
    advisories       4  the only module that changes the set that audits are answered from
    hooks            4  the only module that changes webhooks
    deliveries       4  tells webhooks what happened, one replica at a time
    fsck/            4  a check of everything that is stored
    accounts         3  the only module that changes users, tokens and instance settings
    memberships      3  who may change whose access level
    grants           3  which names are reserved for one group; the only module that changes these grants
    signing          3  the key that vouches for what is published, and which public keys are known
    protection       3  which names ask for more than the usual level; the only module that changes these rules
    changes          3  the change log follower and its barrier
    lookups          3  cached answers, valid as of the barrier
    package_lists    3  the order of packages in lists, cached, valid as of the barrier
    documents        3  rendered pages, cached by what they were rendered from
    sections         3  entries of large pages, kept between two changes of a page
    ingest           3  an incoming stream -> hashed, limited, stored blob
    mounts           3  the only module that changes at which addresses of their own places are served
    usage            3  when packages and tokens were last used, written in batches
    upstream         3  forwarding to the public registries
    inspection       3  archive readers in limited child processes
    outbound         3  requests to addresses that users chose, kept away from what is not public
    backups/         3  the database and its objects in a directory or tar file
    blocks           2  pieces of large pages, compressed once
    db/              2  Postgres: connections, migrations, one typed module per query file
    cache            2  answers by key, kept until they are told to be forgotten
    storage/         2  bytes: the local directory and S3
    embedded/        2  a private Postgres for a machine without services
    inspection_child 2  what runs in such a child
    siblings         2  what workers that share a port tell each other
    threads          2  where blocking work is done, and how much of it may wait there
    archives/        1  bounded reading of tar and zip
    attestations     1  signed statements about files, and what a trust root says of their signers
    settings         1  the environment, read once
    access           1  actors, abilities and the rule that connects them
    conditions       1  what a client demands of a thing before it is changed
    osv              1  advisories in the documents that operators load
    metrics          1  the only module that names Prometheus
    logs             1  one JSON line per event on stderr, without secrets
    failpoints       1  places where a test may stop the server
    budget           1  an amount that callers share, in the order in which they asked
    errors           0  what can go wrong
    triggers         0  which changes webhooks tell of
    model            0  the nouns
"""

from pathlib import Path

__version__ = "0.2.0"


def resource(name: str) -> Path:
    """The directory of shipped files called `name` (`sql` or `templates`): in the repository or in the wheel."""
    package = Path(__file__).parent
    installed = package / "_resources" / name
    return installed if installed.is_dir() else package.parent / name
