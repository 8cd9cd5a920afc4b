CREATE INDEX ON {table} ({column})
