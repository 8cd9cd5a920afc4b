-- One JSON object per line. Lines are first read as text, so that a broken one is a record with a number and not a gap.
SELECT
    _row,
    CASE WHEN NOT is_object THEN 'not a JSON object' END AS _reject,
    CASE WHEN is_object THEN line::JSON END AS record
FROM (
    SELECT
        row_number() OVER () AS _row,
        line,
        CASE WHEN json_valid(line) THEN json_type(line) = 'OBJECT' ELSE false END AS is_object
    FROM read_csv(
        {url}, columns = {{'line': 'VARCHAR'}}, auto_detect = false, header = false, delim = chr(1), quote = '', escape = '',
        max_line_size = 8388608, hive_partitioning = false
    )
)
WHERE line <> ''
