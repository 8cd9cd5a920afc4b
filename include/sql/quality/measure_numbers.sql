-- How the numbers of one column are spread. Money and counts have heavy tails, so moments are those of sign(x) ln(1 + |x|),
-- and what is usual is told by median and median deviation of ln |x|, over numbers other than 0.
SELECT
    count(*) AS rows,
    count(value) AS filled,
    count(*) FILTER (NOT isfinite(value)) AS nonfinite,
    min(number) AS smallest,
    max(number) AS largest,
    quantile_cont(number, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]) AS deciles,
    quantile_cont(number, [0.25, 0.5, 0.75]) AS quartiles,
    var_pop(logged) AS variance,
    skewness(logged) AS skew,
    median(magnitude) AS usual,
    mad(magnitude) AS deviation
FROM (
    SELECT
        value,
        CASE WHEN isfinite(value) THEN value END AS number,
        sign(number) * ln(1 + abs(number)) AS logged,
        ln(abs(nullif(number, 0))) AS magnitude
    FROM (SELECT {column}::DOUBLE AS value FROM {source})
)
