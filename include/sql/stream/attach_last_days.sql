-- A database of its own in a file, so that what is held is packed and need not be in memory. It is gone with the run, so
-- nothing is written for the case that it is opened again.
ATTACH OR REPLACE {path} AS last_days (RECOVERY_MODE no_wal_writes)
