-- A CSV file with a known header, every field as text; records that do not parse are set aside in {rejects}.
SELECT row_number() OVER () AS _row, NULL::VARCHAR AS _reject, {values}
FROM read_csv(
    {url}, columns = {columns}, auto_detect = false, header = true, delim = {delimiter}, quote = '"', escape = '"',
    hive_partitioning = false, store_rejects = true, rejects_table = {rejects}, rejects_scan = {rejects_scan}
)
