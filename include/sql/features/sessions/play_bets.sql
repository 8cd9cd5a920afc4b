-- Each bet as a play of its own.
SELECT
    user_id,
    placed_at AS started_at,
    placed_at AS ended_at,
    1 AS bets,
    stake AS stake_sum,
    CASE WHEN payout IS NOT NULL THEN stake END AS settled_stake_sum,
    payout AS payout_sum,
    struct_pack(placed_at, bet_id, stake, balance_after) AS last_bet
FROM bets
