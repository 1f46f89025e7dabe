from __future__ import annotations

from registry.embedded import EmbeddedPostgres
from tests.conftest import TEMPLATE
from tests.stateful import machine


def test_whatever_is_done_the_registry_holds_what_the_model_says(postgres: EmbeddedPostgres) -> None:
    machine.run(postgres, TEMPLATE, examples=machine.EXAMPLES, steps=machine.STEPS, derandomize=True, shrink=False)
