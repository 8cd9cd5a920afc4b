-- Writes the rows of a file that stay.
COPY ({rows}) TO {path} (
    FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd, COMPRESSION_LEVEL 1, DICTIONARY_SIZE_LIMIT 1000
)
