-- A load uses it to find the rows of its as_of in a month. They lie next to each other, since one load wrote them.
CREATE INDEX ON {table} USING brin ({column}) WITH (pages_per_range = 16)
