-- Captured rows into the folders of their chunks; returns what was written.
COPY ({rows}) TO {folder}
(FORMAT parquet, PARTITION_BY (chunk), OVERWRITE_OR_IGNORE, FILENAME_PATTERN {names}, RETURN_STATS)
