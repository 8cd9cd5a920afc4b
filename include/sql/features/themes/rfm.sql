-- Recency, frequency and money of all players who ever made a completed deposit, as scores: 1, and one more for each
-- quarter that the player reaches.
WITH scores AS (
    SELECT
        user_id,
        score_of(recency, recencies) AS recency_score,
        score_of(frequency, frequencies) AS frequency_score,
        score_of(money, sums) AS monetary_score
    FROM depositors
    CROSS JOIN rfm_quarters
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
