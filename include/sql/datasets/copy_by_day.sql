-- Rows into local files, a folder for each of their days; returns what was written.
COPY ({rows}) TO {folder} (
    FORMAT parquet, PARQUET_VERSION v2, PARTITION_BY (_day), WRITE_PARTITION_COLUMNS, OVERWRITE_OR_IGNORE, FILENAME_PATTERN {names}, RETURN_STATS
)
