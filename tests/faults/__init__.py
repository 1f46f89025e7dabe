"""Faults: what clients do while the server is killed, stopped, or cut off from what it depends on."""
