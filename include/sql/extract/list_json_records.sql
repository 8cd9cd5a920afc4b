-- The records of a JSON file that was split, each with its number and its size. A line is read as text first, so that
-- a broken record is one with a number and not a gap.
SELECT
    {row} AS _row,
    CASE
        WHEN _fault IS NOT NULL OR NOT is_object
            THEN format(
                '{{}} ({{}} byte{{}})', coalesce(_fault, 'not a JSON object'), _bytes, CASE WHEN _bytes <> 1 THEN 's' ELSE '' END
            )
    END AS _reject,
    CASE WHEN is_object THEN text::JSON END AS record,
    _bytes
FROM (
    SELECT *, CASE WHEN json_valid(text) THEN json_type(text) = 'OBJECT' ELSE false END AS is_object
    FROM read_csv(
        {url},
        columns = {{'_line': 'BIGINT', '_place': 'BIGINT', '_bytes': 'BIGINT', '_fault': 'VARCHAR', 'text': 'VARCHAR'}},
        auto_detect = false, header = false, delim = chr(1), quote = '', escape = '', max_line_size = 8388608,
        hive_partitioning = false
    )
)
