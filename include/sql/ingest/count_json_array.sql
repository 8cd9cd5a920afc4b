-- Elements of a file that is one JSON array, counted from its text.
SELECT json_array_length(string_agg(line, ' ' ORDER BY n)::JSON)
FROM (
    SELECT row_number() OVER () AS n, line
    FROM read_csv({url}, columns = {{'line': 'VARCHAR'}}, auto_detect = false, header = false, delim = chr(1), quote = '', escape = '', hive_partitioning = false)
)
