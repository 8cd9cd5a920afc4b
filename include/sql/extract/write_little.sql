-- Writes a small file, as any engine can that has memory to work with.
COPY (SELECT range::VARCHAR AS number FROM range(1000)) TO {url} (FORMAT parquet)
