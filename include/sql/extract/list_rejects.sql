-- Records that mending has set aside.
SELECT _row, 'malformed record: ' || _reject, NULL::JSON
FROM read_csv(
    {url}, columns = {{'_row': 'BIGINT', '_reject': 'VARCHAR'}}, auto_detect = false, header = false, delim = ',',
    quote = '"', escape = '"', hive_partitioning = false
)
