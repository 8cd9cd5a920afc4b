SELECT pg_try_advisory_lock(hashtext(%(lock)s))
