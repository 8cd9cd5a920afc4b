-- One JSON object a line. Lines are read as text first, so that a broken one is a record with a number and not a gap.
WITH lines AS (
    SELECT row_number() OVER () AS _row, line
    FROM read_csv({url}, columns = {{'line': 'VARCHAR'}}, auto_detect = false, header = false, delim = chr(1), quote = '', escape = '', hive_partitioning = false)
),
records AS (
    SELECT
        _row,
        CASE WHEN json_valid(line) AND json_type(line) = 'OBJECT' THEN line::JSON END AS record,
        line
    FROM lines
    WHERE trim(line) <> ''
)
SELECT
    _row,
    CASE WHEN record IS NULL THEN 'not a JSON object' END AS _reject,
    {values}
FROM records
