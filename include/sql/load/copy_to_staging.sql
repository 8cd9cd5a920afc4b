-- Runs in the data engine, which turns it into a binary COPY. It copies one of several parts of the players; the parts
-- are copied at the same time.
INSERT INTO {staging} ({columns})
SELECT {columns} FROM {source}
WHERE hash({key}) % {parts} = {part}
