-- Measures of the quality of some days: one row per day.
SELECT
    _day AS day,
    count(*) AS rows,
    least({filled}) / count(*) AS filled_share,
    count(*) FILTER ({keyless}) / count(*) AS keyless_share,
    (count(*) FILTER ({keyed}) - count(DISTINCT hash({key})) FILTER ({keyed})) / count(*) AS copy_share,
    count(_fault) / count(*) AS fault_share,
    count(_discarded) / count(*) AS discarded_share
FROM {rows}
GROUP BY _day
