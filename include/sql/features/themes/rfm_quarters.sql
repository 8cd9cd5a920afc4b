-- Where the quarters of RFM begin among all depositors: for recency, frequency and money the least values with score 2, 3
-- and 4 or more. Scores are quarters by the share of depositors who are strictly worse, so equal values share a score.
WITH recencies AS (
    SELECT recency, quarter(sum(count(*)) OVER (ORDER BY recency) - count(*), sum(count(*)) OVER ()) AS score
    FROM depositors
    GROUP BY recency
),
frequencies AS (
    SELECT frequency, quarter(sum(count(*)) OVER (ORDER BY frequency) - count(*), sum(count(*)) OVER ()) AS score
    FROM depositors
    GROUP BY frequency
),
sums AS (
    SELECT money, quarter(sum(count(*)) OVER (ORDER BY money) - count(*), sum(count(*)) OVER ()) AS score
    FROM depositors
    GROUP BY money
),
recency_starts AS (
    SELECT [
        min(recency) FILTER (score >= 2), min(recency) FILTER (score >= 3), min(recency) FILTER (score >= 4)
    ] AS recencies
    FROM recencies
),
frequency_starts AS (
    SELECT [
        min(frequency) FILTER (score >= 2), min(frequency) FILTER (score >= 3), min(frequency) FILTER (score >= 4)
    ] AS frequencies
    FROM frequencies
),
money_starts AS (
    SELECT [min(money) FILTER (score >= 2), min(money) FILTER (score >= 3), min(money) FILTER (score >= 4)] AS sums
    FROM sums
)
SELECT recencies, frequencies, sums
FROM recency_starts
CROSS JOIN frequency_starts
CROSS JOIN money_starts
