-- No batch is committed until this transaction ends, so rows and offsets are those of one moment.
LOCK TABLE {table} IN SHARE MODE
