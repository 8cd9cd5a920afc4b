"""Features beside their baselines: the bins of both, and which measures are beyond their limits."""

from __future__ import annotations

import pytest

from crmbet.quality.measures.moves import FeatureMove, list_moves
from crmbet.quality.measures.profile import Distribution, Measures, Profile
from crmbet.quality.measures.tables import Compared
from crmbet.run.settings import QualitySettings

pytestmark = pytest.mark.unit

ROWS = 10_000


def numbers(*rows: int) -> Distribution:
    """Rows up to 1, up to 2.5, above, and without a value."""
    return Distribution(
        kind="numbers", bins=dict(zip(("0", "1", "2", "NULL"), rows, strict=True)), edges=[1.0, 2.5]
    )


def compared(now: Distribution, then: Distribution | None, *excused: str) -> Compared:
    rows = sum(now.bins.values())
    measures = Measures(kind=now.kind, rows=rows, filled=rows, distinct=2, distribution=now, compared=now)
    baseline = Profile(units=ROWS, columns={"f": then} if then else {})
    return Compared({"feature": "f"}, "f", measures, rows, baseline, excused=excused)


def only(move: Compared) -> FeatureMove:
    [listed] = list_moves([move], QualitySettings())
    return listed


def test_both_distributions_are_shares_of_the_same_bins() -> None:
    move = only(compared(numbers(2_000, 3_000, 4_000, 1_000), numbers(5_000, 3_000, 2_000, 0)))

    assert move.bins == (
        ("\u2264 1", 0.5, 0.2), ("\u2264 2.5", 0.3, 0.3), ("> 2.5", 0.2, 0.4), ("empty", 0.0, 0.1),
    )  # fmt: skip
    assert move.psi is not None
    assert move.psi > move.psi_limit == 0.25
    assert move.beyond == ("psi", "ks")


def test_what_has_not_moved_is_beyond_nothing() -> None:
    same = numbers(5_000, 3_000, 2_000, 0)

    move = only(compared(same, same))

    assert (move.psi, move.beyond) == (0.0, ())
    assert [bin_ for bin_, *_ in move.bins] == ["\u2264 1", "\u2264 2.5", "> 2.5"], "empty bins are left out"


def test_a_measure_that_equals_its_limit_is_beyond_it_as_in_the_suite() -> None:
    moved = compared(numbers(2_000, 3_000, 4_000, 1_000), numbers(5_000, 3_000, 2_000, 0))
    psi = only(moved).psi
    assert psi is not None

    for limit, is_beyond in ((psi, True), (psi * 1.001, False)):
        [move] = list_moves([moved], QualitySettings(max_psi=limit, max_ks_distance=1))
        assert (move.psi_limit, move.beyond) == (limit, ("psi",) if is_beyond else ())


def test_an_excused_measure_is_shown_and_not_judged() -> None:
    move = only(compared(numbers(0, 0, ROWS, 0), numbers(ROWS, 0, 0, 0), "psi", "ks"))

    assert move.psi is not None
    assert move.psi > 1
    assert move.beyond == ()


def test_a_new_word_counts_as_other() -> None:
    then = Distribution(kind="words", bins={"slots": 9_000, "other": 1_000, "NULL": 0})
    now = Distribution(kind="words", bins={"slots": 5_000, "crash": 4_000, "other": 1_000, "NULL": 0})

    assert only(compared(now, then)).bins == (("other", 0.1, 0.5), ("slots", 0.9, 0.5))


def test_a_feature_without_a_baseline_of_its_kind_is_left_out() -> None:
    words = Distribution(kind="words", bins={"slots": 1, "NULL": 0})
    new, other_kind = compared(words, None), compared(words, numbers(1, 0, 0, 0))

    assert list_moves([new, other_kind], QualitySettings()) == []
