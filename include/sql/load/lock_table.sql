-- The lock conflicts with every writer and with itself, but with no reader. ONLY is enough: a write through the parent
-- locks the parent first, so ten years of partitions need no locks.
LOCK TABLE ONLY {table} IN SHARE ROW EXCLUSIVE MODE
