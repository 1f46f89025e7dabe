"""Ask the registry of this container whether it lives; exit code 0 when it does. For images without curl."""

# ruff: noqa: INP001 - a program, not a module to import
import http.client
import os
import sys


def main() -> int:
    """Ask `/-/liveness` on the port the registry was told."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("REGISTRY_PORT", "8080")), timeout=4)
    try:
        connection.request("GET", "/-/liveness")
        return 0 if connection.getresponse().status == http.client.OK else 1
    except (OSError, http.client.HTTPException):
        return 1


if __name__ == "__main__":
    sys.exit(main())
