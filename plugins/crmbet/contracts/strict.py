"""Types and a base model that both kinds of contract use."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from crmbet.storage.digests import digest

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""Names that may be put into SQL (always quoted): the allow-list is this pattern."""


BusinessKey = Annotated[
    tuple[Identifier, ...],
    BeforeValidator(lambda key: (key,) if isinstance(key, str) else key),
    Field(min_length=1),
]
"""One or several columns. No two rows of a day may have equal values in all of them."""


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know, so that a typo in a contract is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def content_digest(content: Any) -> str:
    """Identity of a part of a contract. It does not depend on the order of keys."""
    return digest(json.dumps(content, sort_keys=True, default=str), length=16)
