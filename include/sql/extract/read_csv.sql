-- A CSV file with a known header, every field as text. Any malformed record fails the statement.
SELECT row_number() OVER () AS _row, NULL::VARCHAR AS _reject, {values}
FROM read_csv(
    {url}, columns = {columns}, auto_detect = false, header = true, delim = {delimiter}, quote = '"', escape = '"',
    max_line_size = 8388608, hive_partitioning = false
)
