-- Conflicts with every writer and with itself, and with no reader.
LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE
