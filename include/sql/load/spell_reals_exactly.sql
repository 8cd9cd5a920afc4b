-- A role or a database may have set fewer digits, by which no hash of a double could be computed again.
SELECT pg_catalog.set_config('extra_float_digits'::text, '1'::text, true)
