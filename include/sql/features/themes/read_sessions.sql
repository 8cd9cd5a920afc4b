-- Sessions that started in the last 30 days. An end at or after as_of is not known and becomes NULL.
SELECT
    * REPLACE (CASE WHEN ended_at < getvariable('as_of') THEN ended_at END AS ended_at),
    date_diff('day', _day, getvariable('last_day'))::INTEGER AS age
FROM {source}
WHERE _day > getvariable('last_day') - INTERVAL 30 DAYS
