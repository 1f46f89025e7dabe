"""The command line: `registry serve`, and the commands operators type beside it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from registry import failpoints
from registry.cli.errors import CommandError, ConfigurationError
from registry.cli.parser import overrides, parser
from registry.embedded import EmbeddedError
from registry.errors import RegistryError
from registry.settings import Settings, SettingsError, read

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Answers 0; 1 when it could not be done; 2 when the registry is not set up for it."""
    arguments = parser().parse_args(argv)
    try:
        settings = read({**os.environ, **overrides(arguments)})
        _arm(settings)
        return int(arguments.run(settings, arguments))
    except (SettingsError, ConfigurationError, EmbeddedError) as error:
        return _fail(str(error), 2)
    except CommandError as error:
        return _fail(str(error), 1)
    except RegistryError as error:
        return _fail(error.text, 1)
    except KeyboardInterrupt:
        return 130


def _arm(settings: Settings) -> None:
    try:
        failpoints.arm(settings.failpoint)
    except ValueError as error:
        raise ConfigurationError(f"REGISTRY_FAILPOINT: {error}") from error


def _fail(text: str, code: int) -> int:
    sys.stderr.write(f"registry: {text}\n")
    return code
