-- Numbers of one column at or below each edge, and those further from what is usual than a robust 3.5 sigma.
SELECT
    [{below}] AS below,
    count(*) FILTER (
        abs(ln(abs(nullif(number, 0))) - {usual}) > 3.5 * greatest(ln(2), 1.4826 * {deviation})
    ) AS outliers
FROM (
    SELECT CASE WHEN isfinite(value) THEN value END AS number
    FROM (SELECT {column}::DOUBLE AS value FROM {source})
)
