-- For the data engine, which turns it into a binary COPY.
INSERT INTO {staging} ({columns})
SELECT {columns} FROM {source}
