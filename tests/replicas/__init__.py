"""Several replicas behind a balancer: replaced, killed and migrated under the traffic of real clients.

`python -m tests.replicas --seconds 600` does it for as long as wanted.
"""
