-- The results of bets: won, lost, kept by the house. An open bet has no result yet.
WITH lifetime AS (
    SELECT user_id, sum(settled_stake_sum) - sum(payout_sum) AS ggr
    FROM state
    WHERE bets > 0
    GROUP BY user_id
),
sums AS (
    SELECT
        user_id,
        coalesce(sum(bets) FILTER (age < 30), 0) AS bets_30d,
        sum(settled) FILTER (age < 30) AS settled_30d,
        sum(wins) FILTER (age < 30) AS wins_30d,
        sum(settled_stake_sum) FILTER (age < 30) - sum(payout_sum) FILTER (age < 30) AS ggr_30d,
        sum(bets_with_rtp) FILTER (age < 30) AS bets_with_rtp_30d,
        sum(theoretical_loss) FILTER (age < 30) AS theoretical_loss_30d,
        sum(stake_of_known_kind) AS stake_of_known_kind,
        sum(bonus_stake) AS bonus_stake
    FROM recent_state
    WHERE age < 90 AND bets > 0
    GROUP BY user_id
)
SELECT
    user_id,
    coalesce(ggr_30d, 0)::DECIMAL(14, 2) AS ggr_30d,
    coalesce(ggr, 0)::DECIMAL(14, 2) AS ggr_lifetime,
    CASE
        WHEN coalesce(bets_30d, 0) = 0 THEN 0
        WHEN bets_with_rtp_30d > 0 THEN theoretical_loss_30d
    END::DECIMAL(14, 2) AS theoretical_loss_30d,
    CASE WHEN settled_30d > 0 THEN real6(wins_30d / settled_30d) END AS win_rate_30d,
    CASE WHEN stake_of_known_kind > 0 THEN real6(bonus_stake / stake_of_known_kind) END AS bonus_bet_share_90d
FROM users
LEFT JOIN lifetime USING (user_id)
LEFT JOIN sums USING (user_id)
