SELECT coalesce(rfm_segment, 'undefined') AS segment, count(*) AS players,
    round(avg(customer_lifetime_value_score)::DOUBLE, 6) AS value
FROM {features}
GROUP BY segment
ORDER BY segment
