-- Puts a word in the place of ids.
UPDATE {table}
SET {column} = pg_catalog.regexp_replace({column}::text, %(pattern)s, %(blot)s, 'gi')::{type}
WHERE {column}::text ~* %(pattern)s
