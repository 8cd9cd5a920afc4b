SELECT
    round(avg(customer_lifetime_value_score)::DOUBLE, 6) AS mean,
    round(quantile_cont(customer_lifetime_value_score::DOUBLE, 0.5), 6) AS median,
    round(quantile_cont(customer_lifetime_value_score::DOUBLE, 0.9), 6) AS high
FROM {features}
