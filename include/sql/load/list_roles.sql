SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY(%(roles)s) ORDER BY rolname
