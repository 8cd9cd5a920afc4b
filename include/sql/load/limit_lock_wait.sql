SELECT pg_catalog.set_config('lock_timeout'::text, %(lock_timeout)s::text, true)
