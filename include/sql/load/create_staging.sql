-- It is unlogged, since it is of no use after a crash. The columns are nullable: a check before the copy refuses NULLs
-- in required columns with a message that quotes no row.
CREATE UNLOGGED TABLE {staging} (
    {definitions}
) WITH (autovacuum_enabled = false)
