-- Of each object in a captured file, the columns that have a NULL in some row.
SELECT _source_key, list_filter([{columns}], lambda name: name IS NOT NULL)
FROM read_parquet({file}, hive_partitioning = false)
GROUP BY _source_key
