-- What rows add to the daily state of their players: the columns of daily state that live rows need.
SELECT
    user_id,
    _day,
    bets,
    wins,
    stake_sum,
    settled_stake_sum,
    payout_sum,
    deposits,
    deposit_sum,
    withdrawals,
    withdrawal_sum,
    failed_deposits,
    deposited_at,
    exclusions
FROM ({state})
