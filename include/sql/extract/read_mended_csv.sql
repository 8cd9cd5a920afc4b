-- A mended CSV file: its good records with their places in the file, and the records set aside with the reason.
SELECT _row, NULL::VARCHAR AS _reject, {values}
FROM read_csv(
    {url}, columns = {columns}, auto_detect = false, header = false, delim = {delimiter}, quote = '"', escape = '"',
    max_line_size = 8388608, hive_partitioning = false
)
UNION ALL
SELECT _row, 'malformed record: ' || _reject, {nothing}
FROM read_csv(
    {rejects}, columns = {{'_row': 'BIGINT', '_reject': 'VARCHAR'}}, auto_detect = false, header = false, delim = ',',
    quote = '"', escape = '"', hive_partitioning = false
)
