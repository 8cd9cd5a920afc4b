"""Customer lifetime value over a year, as the factor of a customer's expected value of an occasion."""

from __future__ import annotations

import numpy as np

from crmbet.learning.models.histories import DAYS_A_WEEK, Histories, Reals
from crmbet.learning.models.pareto_nbd import ParetoNBD

MONTHS = 12
MONTH_DAYS = 30


def discounted_repeats(
    model: ParetoNBD, histories: Histories, alive: Reals, monthly_discount_rate: float
) -> Reals:
    """Expected occasions in the next twelve months of 30 days, with those of month m divided by (1 + d)^m.

    `alive` is P(alive) of each history by the model, which is in weeks. Occasions are discounted as if paid at the end
    of their month. As in Fader, Hardie and Lee, "RFM and CLV: using iso-value curves for customer base analysis",
    Journal of Marketing Research 42(4), 2005, summed by months.
    """
    total = np.zeros_like(histories.repeats)
    before = np.zeros_like(total)
    for month in range(1, MONTHS + 1):
        until = model.expected_repeats_if_alive(histories, month * MONTH_DAYS / DAYS_A_WEEK)
        total += (until - before) / (1.0 + monthly_discount_rate) ** month
        before = until
    discounted: Reals = total * alive
    return discounted
