-- Lets the privacy office ask for erasures, place holds and read certificates.
GRANT SELECT, INSERT (user_id, entered_by) ON {requests} TO {role};
GRANT SELECT, DELETE, INSERT (user_id, reason, stands_until), UPDATE (reason, stands_until) ON {holds} TO {role};
GRANT SELECT ON {certificates} TO {role}
