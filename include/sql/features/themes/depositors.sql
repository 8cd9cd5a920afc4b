-- What RFM looks at: recency, frequency and money of the players who ever made a completed deposit. Frequency and money
-- are 0 without a recent deposit. More is better: recency is the age of the last deposit below zero.
SELECT
    user_id,
    -min(age) AS recency,
    count(*) FILTER (age < 90) AS frequency,
    coalesce(sum(deposit_sum) FILTER (age < 90), 0) AS money
FROM state
WHERE deposits > 0
GROUP BY user_id
