-- Audiences of which a file was written again: its name there, and in a message that nobody has confirmed yet.
UPDATE {table}
SET
    files = pg_catalog.replace(files::text, %(old)s, %(new)s)::jsonb,
    message = pg_catalog.replace(message, %(old)s, %(new)s)
WHERE pg_catalog.strpos(files::text, %(old)s) > 0 OR pg_catalog.strpos(message, %(old)s) > 0
