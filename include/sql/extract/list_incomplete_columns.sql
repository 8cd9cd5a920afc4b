-- The columns of a Parquet file that have a NULL in some row, by the file's statistics.
SELECT path_in_schema
FROM parquet_metadata({url})
GROUP BY path_in_schema
HAVING bool_or(coalesce(stats_null_count, 1) > 0)
