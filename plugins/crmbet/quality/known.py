"""include/expectations/known.yaml: features and pairs of features that look odd for a known reason."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError

from crmbet.contracts.strict import Identifier, Strict
from crmbet.quality.suites import EXPECTATIONS, BadSuite

Excusable = Literal["constant", "sparse", "class_share", "cardinality", "outliers", "shape", "drift"]

FILE = "known.yaml"


class KnownFeature(Strict):
    """A feature for which some measures are not judged."""

    feature: Identifier
    measures: list[Excusable] = Field(min_length=1)
    why: str = Field(min_length=10)


class KnownPair(Strict):
    """Two features that are known to be strongly correlated."""

    a: Identifier
    b: Identifier
    why: str = Field(min_length=10)


class Known(Strict):
    """The whole file."""

    features: list[KnownFeature]
    pairs: list[KnownPair]

    def excuses(self, feature: str, measure: Excusable) -> bool:
        """Whether a measure of a feature is not judged."""
        return any(known.feature == feature and measure in known.measures for known in self.features)

    def has_pair(self, a: str, b: str) -> bool:
        """Whether two features are known to be strongly correlated."""
        return any({known.a, known.b} == {a, b} for known in self.pairs)


def load_known(folder: Path = EXPECTATIONS) -> Known:
    """Read the file. Raises `BadSuite` with the reason if it is not valid."""
    path = folder / FILE
    try:
        return Known.model_validate(yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))
    except (yaml.YAMLError, ValidationError, OSError) as error:
        raise BadSuite(
            f"{FILE} cannot be read",
            where=str(path),
            why=" ".join(str(error).split()),
            next_step="correct the file",
        ) from error
