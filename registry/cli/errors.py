"""What ends a command: one clear line on stderr, and an exit code."""

from __future__ import annotations


class ConfigurationError(Exception):
    """The registry cannot run like this; the text says what to change. Exit code 2."""


class CommandError(Exception):
    """What was asked for cannot be done; the text says why. Exit code 1."""
