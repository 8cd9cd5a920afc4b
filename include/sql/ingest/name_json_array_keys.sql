-- Names in the first object of a file that is one JSON array.
SELECT json_keys(json)
FROM read_json_objects({url}, format = 'array', maximum_object_size = 104857600, hive_partitioning = false)
WHERE json_type(json) = 'OBJECT'
LIMIT 1
