-- Recorded sessions with what was staked and paid in them, over the days of their bets.
WITH sums AS (
    SELECT
        user_id,
        session_id,
        started_at,
        sum(bets) AS bets,
        sum(stake_sum) AS stake_sum,
        sum(settled_stake_sum) AS settled_stake_sum,
        sum(payout_sum) AS payout_sum,
        max(struct_pack(placed_at, bet_id, last_stake, last_balance)) AS last_bet
    FROM {session_bets}
    GROUP BY ALL
)
SELECT
    recorded.user_id,
    recorded.session_id,
    recorded.started_at,
    recorded.ended_at,
    coalesce(sums.bets, 0)::INTEGER AS bets,
    coalesce(sums.stake_sum, 0)::DECIMAL(18, 4) AS stake_sum,
    coalesce(sums.settled_stake_sum, 0)::DECIMAL(18, 4) AS settled_stake_sum,
    coalesce(sums.payout_sum, 0)::DECIMAL(22, 4) AS payout_sum,
    sums.last_bet.last_stake AS last_stake,
    sums.last_bet.last_balance AS last_balance,
    recorded._day
FROM {recorded} AS recorded
LEFT JOIN sums USING (user_id, session_id, started_at)
