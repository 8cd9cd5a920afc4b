SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('crmbet.monitoring'::text)::bigint)
