SELECT pg_try_advisory_lock(hashtext('crmbet.telling'))
