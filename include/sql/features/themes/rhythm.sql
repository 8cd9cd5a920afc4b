-- The days on which a player plays, and how regular they are, by the gaps between bet days of the last 180 days.
WITH gaps AS (
    SELECT user_id, age, lag(age) OVER (PARTITION BY user_id ORDER BY _day) - age AS gap
    FROM state
    WHERE age < 180 AND bets > 0
),
sums AS (
    SELECT
        user_id,
        count(*) FILTER (age < 7) AS days_7,
        count(*) FILTER (age < 30) AS days_30,
        count(*) FILTER (age BETWEEN 30 AND 59) AS days_30_before,
        count(*) FILTER (age < 90) AS days_90,
        count(gap) AS n,
        sum(gap) AS s,
        sum(gap * gap) AS q
    FROM gaps
    GROUP BY user_id
)
SELECT
    user_id,
    coalesce(days_7, 0)::INTEGER AS active_days_7d,
    coalesce(days_30, 0)::INTEGER AS active_days_30d,
    coalesce(days_90, 0)::INTEGER AS active_days_90d,
    CASE WHEN n >= 3 THEN real6((1 - finite_burstiness(n, s, q)) / 2) END AS activity_regularity,
    CASE WHEN n >= 3 THEN real6(finite_burstiness(n, s, q)) END AS burstiness,
    CASE
        WHEN days_30 + days_30_before > 0 THEN real6((days_30 - days_30_before) / (days_30 + days_30_before))
    END AS activity_trend
FROM users
LEFT JOIN sums USING (user_id)
