-- What a player pays in and takes out. Completed transactions only.
WITH sums AS (
    SELECT
        user_id,
        sum(completed) AS completed,
        coalesce(sum(completed) FILTER (age < 90), 0) AS completed_90d,
        sum(deposit_sum) AS deposit_sum,
        sum(withdrawal_sum) AS withdrawal_sum,
        coalesce(sum(deposits) FILTER (age < 90), 0) AS deposits_90d,
        (coalesce(sum(deposit_sum) FILTER (age < 90), 0) * 100)::HUGEINT AS deposit_cents_90d
    FROM state
    WHERE transactions > 0
    GROUP BY user_id
),
tickets AS (
    SELECT
        *,
        -- Half away from zero, in whole cents.
        CASE WHEN deposits_90d > 0 THEN (2 * deposit_cents_90d + deposits_90d) // (2 * deposits_90d) END AS ticket_cents
    FROM sums
)
SELECT
    user_id,
    completed::INTEGER AS total_transactions,
    completed_90d / greatest(1, least(90, tenure_days)) AS transactions_per_day,
    CASE
        WHEN withdrawal_sum > 0 THEN real6(least(1000, deposit_sum / withdrawal_sum))
        WHEN deposit_sum > 0 THEN 1000.0
    END AS balance_ratio,
    CASE
        WHEN ticket_cents < getvariable('ticket_low') * 100 THEN 'baixo'
        WHEN ticket_cents < getvariable('ticket_high') * 100 THEN 'medio'
        WHEN ticket_cents IS NOT NULL THEN 'alto'
    END AS ticket_medio_categoria
FROM tickets
JOIN users USING (user_id)
