-- Conflicts with every writer and with itself, and with no reader. ONLY: whoever writes a partition through its parent
-- has to lock the parent first, so there is no need to lock ten years of partitions.
LOCK TABLE ONLY {table} IN SHARE ROW EXCLUSIVE MODE
