-- How regularly a player plays: gaps in days between bet days of the last 180.
WITH gaps AS (
    SELECT
        user_id,
        date_diff('day', lag(_day) OVER (PARTITION BY user_id ORDER BY _day), _day) AS gap
    FROM state
    WHERE age < 180 AND bets > 0
),
sums AS (
    SELECT user_id, count(gap) AS n, sum(gap) AS s, sum(gap * gap) AS q
    FROM gaps
    GROUP BY user_id
)
SELECT
    user_id,
    CASE WHEN n >= 3 THEN real6((1 - burstiness(n, s, q)) / 2) END AS activity_regularity
FROM sums
