-- What moves each player's churn score from that of the same player with one number of the median player, largest first.
WITH moves AS (
    SELECT
        user_id,
        round(without_repeats, 6) AS repeats,
        round(without_idle_days, 6) AS idle_days,
        round(without_observed_days, 6) AS observed_days
    FROM activity_histories
    JOIN activity_moves USING (repeats, recency_days, observed_days)
)
SELECT
    user_id,
    list_reverse_sort(list_filter([
        {'size': abs(repeats), 'feature': 'active_days', 'move': repeats},
        {'size': abs(idle_days), 'feature': 'idle_days', 'move': idle_days},
        {'size': abs(observed_days), 'feature': 'days_since_first_activity', 'move': observed_days}
    ], lambda reason: reason.size > 0)) AS reasons
FROM moves
