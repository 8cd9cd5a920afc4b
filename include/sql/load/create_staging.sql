-- Unlogged: it is worth nothing after a crash. NOT NULL is checked afterwards, in words that quote no row.
CREATE UNLOGGED TABLE {staging} (
    {definitions}
) WITH (autovacuum_enabled = false)
