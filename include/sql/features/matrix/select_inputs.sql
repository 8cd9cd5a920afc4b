-- What the pipeline of the matrix takes, of every player.
SELECT {columns} FROM {source} ORDER BY {key}
