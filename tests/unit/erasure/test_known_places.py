"""Every folder that we write is one that an erasure rewrites, blots, or needs not, and docs/privacy.md knows it."""

from __future__ import annotations

import re

import pytest

from crmbet.erasure.rewriting import DAY_KINDS
from crmbet.storage import layout
from local.workspace import PROJECT

pytestmark = pytest.mark.unit

REWRITTEN = {"captures", "quarantine", "runs", "audiences", *DAY_KINDS}
BLOTTED = {"reports"}
NAMELESS = {"feature_tables", "thresholds", "models", "baselines", "erasures"}
"""Names of files, figures about all players together, and certificates."""
REFUSED = {"damaged"}
"""Nobody can say whom a damaged object names, so the proof refuses a certificate until it is gone."""


def test_a_new_folder_fails_here_until_an_erasure_knows_it() -> None:
    folders = set(re.findall(r"^ {8}([a-z_]+)/", layout.__doc__ or "", re.MULTILINE))

    assert folders == REWRITTEN | BLOTTED | NAMELESS | REFUSED
    assert {layout.kind_of(f"crmbet/brand=b/{folder}/x") for folder in folders} == folders


def test_the_document_names_every_folder_that_holds_players() -> None:
    document = (PROJECT / "docs" / "privacy.md").read_text(encoding="utf-8")

    assert [
        folder for folder in sorted(REWRITTEN | BLOTTED | REFUSED) if f"`{folder}/`" not in document
    ] == []
