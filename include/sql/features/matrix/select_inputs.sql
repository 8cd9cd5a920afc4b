-- The inputs of the matrix's pipeline for every player.
SELECT {columns} FROM {source} ORDER BY {key}
