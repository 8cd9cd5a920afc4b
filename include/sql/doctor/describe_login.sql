-- Who we are in a database, and whether this login may read a player of the target.
SELECT current_user, rolsuper,
    coalesce(has_any_column_privilege(to_regclass(%(table)s), 'SELECT'), false) AS reads_players
FROM pg_roles
WHERE rolname = current_user
