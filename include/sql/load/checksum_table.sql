-- It does not depend on the order of rows, on the server's version (from 14) or on session settings. The seed is
-- neither 0 nor 1: with 0 a double of zero hashes as NULL does, with 1 a numeric of zero.
SELECT count(*), coalesce(sum(pg_catalog.hash_record_extended(ROW({columns}), 7::bigint)::numeric), 0)::text, max(as_of)
FROM {table}
