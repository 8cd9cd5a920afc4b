-- Copies rows into local files, with one folder per day. Returns the files that were written.
COPY ({rows}) TO {folder} (
    FORMAT parquet, PARQUET_VERSION v2, PARTITION_BY (_day), WRITE_PARTITION_COLUMNS, OVERWRITE_OR_IGNORE, FILENAME_PATTERN {names}, RETURN_STATS
)
