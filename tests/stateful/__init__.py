"""A model of the catalog, and the real registry beside it: whatever is done to both, they agree afterwards.

    world       what the registry should hold, and who may do what; pure
    goods       the distributions and tarballs that are published; a few, so that they collide
    registry    two replicas of the application on one Postgres and one store
    survey      what the registry does hold, through its API and in its rows and objects
    machine     the rules: what may be done at any time, and the invariants that hold after each step

`python -m tests.stateful --examples 500 --steps 60` is the long run.
"""
