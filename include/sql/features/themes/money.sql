-- What a player pays in and takes out. Only completed transactions count.
WITH sums AS (
    SELECT
        user_id,
        sum(completed) AS completed,
        sum(completed) FILTER (age < 90) AS completed_90d,
        sum(deposit_sum) AS deposit_sum,
        sum(withdrawal_sum) AS withdrawal_sum,
        sum(deposits) FILTER (age < 30) AS deposits_30d,
        sum(withdrawals) FILTER (age < 30) AS withdrawals_30d,
        sum(deposit_sum) FILTER (age < 30) AS deposit_sum_30d,
        sum(withdrawal_sum) FILTER (age < 30) AS withdrawal_sum_30d,
        sum(deposits) FILTER (age < 90) AS deposits_90d,
        sum(deposit_sum) FILTER (age < 90) AS deposit_sum_90d,
        min(age) FILTER (deposits > 0) AS last_deposit_age,
        max(age) FILTER (deposits > 0) AS first_deposit_age,
        list(age ORDER BY age) FILTER (age < 90 AND deposits > 0) AS deposit_ages,
        list(age ORDER BY age) FILTER (age < 90 AND withdrawals > 0) AS withdrawal_ages
    FROM state
    WHERE transactions > 0
    GROUP BY user_id
)
SELECT
    user_id,
    coalesce(completed, 0)::INTEGER AS total_transactions,
    real6(coalesce(completed_90d, 0) / greatest(1, least(90, tenure_days))) AS frequencia_jogo,
    coalesce(deposits_30d, 0)::INTEGER AS deposit_count_30d,
    coalesce(withdrawals_30d, 0)::INTEGER AS withdrawal_count_30d,
    coalesce(deposit_sum_30d, 0)::DECIMAL(14, 2) AS deposit_sum_30d,
    coalesce(deposit_sum, 0)::DECIMAL(14, 2) AS deposit_sum_lifetime,
    coalesce(withdrawal_sum_30d, 0)::DECIMAL(14, 2) AS withdrawal_sum_30d,
    cadence(deposit_ages) AS padrao_deposito,
    cadence(withdrawal_ages) AS padrao_saque,
    (coalesce(deposit_sum_30d, 0) - coalesce(withdrawal_sum_30d, 0))::DECIMAL(14, 2) AS net_deposit_30d,
    (coalesce(deposit_sum, 0) - coalesce(withdrawal_sum, 0))::DECIMAL(14, 2) AS net_deposit_lifetime,
    CASE
        WHEN withdrawal_sum > 0 THEN real6(least(1000, deposit_sum / withdrawal_sum))
        WHEN deposit_sum > 0 THEN 1000.0
    END AS balance_ratio,
    CASE
        WHEN deposit_sum + withdrawal_sum > 0 THEN real6(deposit_sum / (deposit_sum + withdrawal_sum))
    END AS deposit_share,
    CASE WHEN deposits_90d > 0 THEN money_per(money_units(deposit_sum_90d), deposits_90d) END AS ticket_medio,
    CASE
        WHEN ticket_medio < getvariable('ticket_low') THEN 'baixo'
        WHEN ticket_medio < getvariable('ticket_high') THEN 'medio'
        WHEN ticket_medio IS NOT NULL THEN 'alto'
    END AS ticket_medio_categoria,
    last_deposit_age AS days_since_last_deposit,
    -- greatest() ignores NULL, so it would turn an unknown number of days into 0.
    CASE
        WHEN registered_age >= first_deposit_age THEN registered_age - first_deposit_age
        WHEN registered_age < first_deposit_age THEN 0
    END::INTEGER AS days_to_first_deposit
FROM users
LEFT JOIN sums USING (user_id)
