SELECT pg_advisory_unlock(hashtextextended(%(lock)s, 0))
