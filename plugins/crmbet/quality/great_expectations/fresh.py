# ruff: noqa: TID253 - these are subclasses, so their bases are needed to define them; only `gate.check` imports this.
"""A suite, a validation and a checkpoint that are fresh as long as they live.

Great Expectations asks several times a run whether each of them still equals the copy in its store. It reads the copy
and compares every expectation, which took much of a gate's time. A gate makes these objects, runs them once and
forgets them, so there is no older copy that could differ.
"""

from __future__ import annotations

from great_expectations import Checkpoint, ExpectationSuite, ValidationDefinition
from great_expectations.core.freshness_diagnostics import (
    CheckpointFreshnessDiagnostics,
    ExpectationSuiteFreshnessDiagnostics,
    ValidationDefinitionFreshnessDiagnostics,
)


class FreshSuite(ExpectationSuite):
    """A suite that is run once, by the code that made it."""

    def is_fresh(self) -> ExpectationSuiteFreshnessDiagnostics:
        """No objection."""
        return ExpectationSuiteFreshnessDiagnostics(errors=[])


class FreshValidation(ValidationDefinition):
    """A validation that is run once, by the code that made it."""

    def is_fresh(self) -> ValidationDefinitionFreshnessDiagnostics:
        """No objection."""
        return ValidationDefinitionFreshnessDiagnostics(errors=[])


class FreshCheckpoint(Checkpoint):
    """A checkpoint that is run once, by the code that made it."""

    def is_fresh(self) -> CheckpointFreshnessDiagnostics:
        """No objection."""
        return CheckpointFreshnessDiagnostics(errors=[])
