-- State of every day, with the few columns that features over a player's whole life need. Ages are in operator days, 0
-- on the last day before as_of.
SELECT
    user_id,
    _day,
    date_diff('day', _day, getvariable('last_day'))::INTEGER AS age,
    bets,
    settled_stake_sum,
    payout_sum,
    transactions,
    completed,
    deposits,
    withdrawals,
    bet_transactions,
    deposit_sum,
    withdrawal_sum,
    limit_changes,
    exclusions
FROM {source}
