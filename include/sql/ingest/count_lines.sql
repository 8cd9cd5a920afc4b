-- Physical lines that hold something.
SELECT count(*)
FROM read_csv({url}, columns = {{'line': 'VARCHAR'}}, auto_detect = false, header = false, delim = chr(1), quote = '', escape = '', hive_partitioning = false)
WHERE trim(line) <> ''
