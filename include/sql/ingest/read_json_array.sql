-- A file that is one JSON array of objects.
WITH records AS (
    SELECT row_number() OVER () AS _row, json AS record
    FROM read_json_objects({url}, format = 'array', maximum_object_size = 104857600, hive_partitioning = false)
)
SELECT _row, CASE WHEN json_type(record) <> 'OBJECT' THEN 'not a JSON object' END AS _reject, {values}
FROM records
