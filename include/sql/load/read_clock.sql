-- Not now(): a load that waited for the lock must not date its rows before those of the load that it waited for.
SELECT pg_catalog.clock_timestamp()
