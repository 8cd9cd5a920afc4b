-- Names in the first object of a JSON lines file.
SELECT json_keys(line)
FROM read_csv({url}, columns = {{'line': 'VARCHAR'}}, auto_detect = false, header = false, delim = chr(1), quote = '', escape = '', hive_partitioning = false)
WHERE CASE WHEN json_valid(line) THEN json_type(line) = 'OBJECT' END
LIMIT 1
