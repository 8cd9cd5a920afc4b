-- Live rows of one batch. It is a table, since a login that owns the schema may lack the right to temporary ones.
CREATE UNLOGGED TABLE {table} AS
SELECT * FROM {live} WHERE false
