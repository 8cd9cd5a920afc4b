-- Recency, frequency and money of all players who ever made a completed deposit. Frequency and money are 0 without a
-- recent deposit. Scores are quarters by the share of users who are strictly worse, so equal values share a score.
WITH depositors AS (
    SELECT
        user_id,
        min(age) AS last_deposit_age,
        count(*) FILTER (age < 90) AS deposit_days_90d,
        coalesce(sum(deposit_sum) FILTER (age < 90), 0) AS deposit_sum_90d
    FROM state
    WHERE deposits > 0
    GROUP BY user_id
),
scores AS (
    SELECT
        user_id,
        quarter(rank() OVER (ORDER BY last_deposit_age DESC) - 1, count(*) OVER ()) AS recency_score,
        quarter(rank() OVER (ORDER BY deposit_days_90d) - 1, count(*) OVER ()) AS frequency_score,
        quarter(rank() OVER (ORDER BY deposit_sum_90d) - 1, count(*) OVER ()) AS monetary_score
    FROM depositors
),
cells AS (
    SELECT *, 10 * recency_score + (frequency_score + monetary_score + 1) // 2 AS cell
    FROM scores
)
SELECT
    user_id,
    recency_score,
    frequency_score,
    monetary_score,
    recency_score::VARCHAR || frequency_score || monetary_score AS rfm_code,
    CASE
        WHEN cell IS NULL THEN 'prospect'
        WHEN cell = 44 THEN 'champions'
        WHEN cell IN (43, 34, 33) THEN 'loyal'
        WHEN cell IN (42, 32) THEN 'potential_loyalist'
        WHEN cell = 41 THEN 'new_customers'
        WHEN cell = 31 THEN 'promising'
        WHEN cell IN (24, 13) THEN 'at_risk'
        WHEN cell = 23 THEN 'need_attention'
        WHEN cell IN (22, 21) THEN 'about_to_sleep'
        WHEN cell = 14 THEN 'cant_lose_them'
        WHEN cell = 12 THEN 'hibernating'
        WHEN cell = 11 THEN 'lost'
    END AS rfm_segment
FROM users
LEFT JOIN cells USING (user_id)
