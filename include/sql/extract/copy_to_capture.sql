-- Writes one captured file. It holds mostly text, which the lowest level of zstd makes half as large as the default codec
-- does. A higher level takes half as much time again and makes no smaller file. Giving up on dictionaries early saves a
-- tenth of the time, since ids and instants never fit into one, and version 2 of Parquet another tenth.
COPY ({rows}) TO {url} (
    FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd, COMPRESSION_LEVEL 1, DICTIONARY_SIZE_LIMIT 1000
)
