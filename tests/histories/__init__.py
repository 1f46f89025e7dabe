"""Histories: what many clients did to several replicas at once, and whether strict freshness explains all of it.

    history     what is recorded of each operation, as JSON lines
    checker     a history -> what is wrong with it; pure
    cluster     Postgres, the replicas, and the faults they meet
    client      one request, on whichever replica, as an operation of the history
    shared      what the clients know of the registry they change and read: names, tokens, projects
    writers     publish, delete, tag, deprecate, revoke, change who may see what
    readers     read all that, with and without conditions and credentials
    run         the whole: set up, clients and faults, a last look at everything

`python -m tests.histories --operations 20000 --faults` is the long run.
"""
