-- Copies the rows of some days into one local file. They come day by day: who needs a few days passes over the rest.
COPY ({rows}) TO {path} (FORMAT parquet, PARQUET_VERSION v2, DICTIONARY_SIZE_LIMIT 1000)
