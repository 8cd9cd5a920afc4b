-- The same of some players, whom nothing but their ids chooses.
SELECT {columns} FROM {source} ORDER BY md5({key}), {key} LIMIT {limit}
