-- The elements of a file that is one JSON array.
SELECT
    row_number() OVER () AS _row,
    CASE WHEN json_type(json) <> 'OBJECT' THEN 'not a JSON object' END AS _reject,
    CASE WHEN json_type(json) = 'OBJECT' THEN json END AS record
FROM read_json_objects({url}, format = 'array', maximum_object_size = 16777216, hive_partitioning = false)
