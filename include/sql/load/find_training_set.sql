-- The training_set of a release that did not know admit_reconstructed, and whether a view or anything else needs it.
SELECT
    function.oid::regprocedure::text,
    EXISTS (
        SELECT
        FROM pg_catalog.pg_depend AS dependency
        WHERE dependency.refclassid = 'pg_catalog.pg_proc'::regclass
          AND dependency.refobjid = function.oid
          AND dependency.deptype = 'n'
    )
FROM pg_catalog.pg_proc AS function
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = function.pronamespace
WHERE namespace.nspname = %(schema)s AND function.proname = 'training_set' AND function.pronargs = 4
