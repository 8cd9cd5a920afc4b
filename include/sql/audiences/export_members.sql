-- An audience in the order of its players, for the engine to read. A list becomes one text.
COPY (SELECT {columns} FROM {view} ORDER BY user_id COLLATE "C") TO STDOUT WITH (FORMAT csv)
