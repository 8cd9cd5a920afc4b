-- The sessions that some bets make, as far as live rows need them.
SELECT user_id, started_at, ended_at, bets, stake_sum, settled_stake_sum, payout_sum, _day
FROM ({sessions})
