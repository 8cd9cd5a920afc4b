-- Copies rows into one local file.
COPY ({rows}) TO {path} (FORMAT parquet)
