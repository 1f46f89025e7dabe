"""Soak: a mixed load for a long time, faults all the while, and nothing wrong, nothing lost, nothing that piles up.

    store       an S3 server behind a door that can be shut for a while
    usage       what a process holds - memory, open files, children - and whether that is flat; pure but for the look
    run         two replicas, the clients of `tests.histories`, faults, samples, a last look at everything

`python -m tests.soak --minutes 10` is the long run; it prints a table.
"""
