-- Copies the rows of some days into one local file, day by day: who needs a few of them passes over the rest.
COPY (FROM ({rows}) {order}) TO {path} (FORMAT parquet, PARQUET_VERSION v2, DICTIONARY_SIZE_LIMIT 1000)
