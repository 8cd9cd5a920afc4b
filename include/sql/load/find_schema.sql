SELECT oid FROM pg_namespace WHERE nspname = %(schema)s
