-- What moves each player's clv_12m from that of the same player with one number of the median player, largest first.
-- clv_12m is margin x expected deposit of a day x discounted days, so a move of the days is worth the player's own
-- deposits, and a move of the deposits is worth the player's own days.
WITH moves AS (
    SELECT
        user_id,
        try_cast(getvariable('clv_margin') * expected_deposit_value * without_repeats AS DECIMAL(14, 2)) AS repeats,
        try_cast(getvariable('clv_margin') * expected_deposit_value * without_idle_days AS DECIMAL(14, 2)) AS idle_days,
        try_cast(
            getvariable('clv_margin') * expected_deposit_value * without_observed_days AS DECIMAL(14, 2)
        ) AS observed_days,
        try_cast(
            getvariable('clv_margin') * (expected_deposit_value - deposit_value) * discounted_days AS DECIMAL(14, 2)
        ) AS deposit_value
    FROM deposit_histories
    JOIN deposit_scores USING (repeats, recency_days, observed_days)
    JOIN deposit_moves USING (repeats, recency_days, observed_days)
    JOIN deposit_values USING (user_id)
    CROSS JOIN usual_value
    WHERE clv_12m IS NOT NULL
)
SELECT
    user_id,
    list_reverse_sort(list_filter([
        {'size': abs(repeats), 'feature': 'deposit_days', 'move': repeats},
        {'size': abs(idle_days), 'feature': 'days_since_last_deposit', 'move': idle_days},
        {'size': abs(observed_days), 'feature': 'days_since_first_deposit', 'move': observed_days},
        {'size': abs(deposit_value), 'feature': 'expected_deposit_value', 'move': deposit_value}
    ], lambda reason: reason.size > 0)) AS reasons
FROM moves
