-- One file of immutable data.
COPY ({rows}) TO {url} (FORMAT parquet)
