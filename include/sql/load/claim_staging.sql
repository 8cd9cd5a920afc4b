-- Until the session ends, whatever ends it; shared with other tries of the run.
SELECT pg_advisory_lock_shared(hashtextextended(%(lock)s, 0))
