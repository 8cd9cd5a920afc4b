-- Names and types of the columns of Parquet files, by file.
SELECT file_name, name, duckdb_type
FROM parquet_schema({files})
WHERE duckdb_type IS NOT NULL
