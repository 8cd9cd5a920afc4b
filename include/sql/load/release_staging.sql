SELECT pg_advisory_unlock_shared(hashtextextended(%(lock)s, 0))
