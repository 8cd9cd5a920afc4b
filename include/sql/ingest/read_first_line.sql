-- The first physical line of a text file, plain or gzip.
SELECT line
FROM read_csv({url}, columns = {{'line': 'VARCHAR'}}, auto_detect = false, header = false, delim = chr(1), quote = '', escape = '', hive_partitioning = false)
LIMIT 1
