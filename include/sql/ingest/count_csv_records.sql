-- Records of a CSV file, header included: physical lines at whose end every quote is closed.
WITH lines AS (
    SELECT
        row_number() OVER () AS n,
        coalesce(line, '') AS line,
        length(line) - length(replace(line, '"', '')) AS quotes
    FROM read_csv({url}, columns = {{'line': 'VARCHAR'}}, auto_detect = false, header = false, delim = chr(1), quote = '', escape = '', hive_partitioning = false)
),
parity AS (
    SELECT
        line,
        coalesce(sum(quotes) OVER (ORDER BY n), 0) % 2 AS open_after,
        coalesce(sum(quotes) OVER (ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) % 2 AS open_before
    FROM lines
)
SELECT count(*) FILTER (open_after = 0 AND (line <> '' OR open_before = 1))
FROM parity
