-- For the data engine, which turns it into a binary COPY: of one of several parts of the players, copied side by side.
INSERT INTO {staging} ({columns})
SELECT {columns} FROM {source}
WHERE hash({key}) % {parts} = {part}
