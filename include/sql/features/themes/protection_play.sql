-- Markers of play and money for responsible gambling, over 30 days. A marker is a reason to look and not a diagnosis.
WITH days AS (
    SELECT
        user_id,
        30 - age AS day_number,
        bets,
        greatest(0, settled_stake_sum - payout_sum) AS loss,
        ln(1 + (stake_sum / bets)::DOUBLE) AS level
    FROM recent_state
    WHERE age < 30 AND bets > 0
),
play AS (
    SELECT
        user_id,
        count(*) AS n,
        sum(bets) AS bets,
        max(loss) AS max_loss,
        sum(day_number) AS x,
        sum(day_number * day_number) AS xx,
        -- Days are in order, since a sum of doubles depends on their order.
        list_sum(list(level ORDER BY day_number)) AS y,
        list_sum(list(day_number * level ORDER BY day_number)) AS xy
    FROM days
    GROUP BY user_id
),
money AS (
    SELECT
        user_id,
        sum(failed_deposits) AS declined,
        sum(cancelled_withdrawals) AS cancelled
    FROM recent_state
    WHERE age < 30 AND transactions > 0
    GROUP BY user_id
)
SELECT
    user_id,
    real6(coalesce(n, 0) / 30) AS rg_frequency_30d,
    real6(bets / n) AS rg_intensity_30d,
    CASE WHEN n >= 5 THEN real6((n * xy - x * y) / (n * xx - x * x)) END AS rg_trajectory_30d,
    coalesce(max_loss, 0)::DECIMAL(14, 2) AS rg_max_daily_loss_30d,
    coalesce(declined, 0)::INTEGER AS rg_declined_deposits_30d,
    coalesce(cancelled, 0)::INTEGER AS rg_cancelled_withdrawals_30d
FROM users
LEFT JOIN play USING (user_id)
LEFT JOIN money USING (user_id)
