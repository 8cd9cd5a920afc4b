-- A load finds the rows of its as_of by it, among a month of others: they lie together, since each load writes them so.
CREATE INDEX ON {table} USING brin ({column}) WITH (pages_per_range = 16)
