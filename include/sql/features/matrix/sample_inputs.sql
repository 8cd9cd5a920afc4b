-- The inputs of the matrix's pipeline for a sample of players, which is chosen by their ids alone.
SELECT {columns} FROM {source} ORDER BY md5({key}), {key} LIMIT {limit}
