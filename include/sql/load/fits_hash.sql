-- Whether the cells of a row have its row_hash. The marketing of a player who is gone may have been any.
EXISTS (
    SELECT
    FROM (
        VALUES ({source}.marketing_allowed), ({source}.marketing_allowed OR {source}.marketing_reason IS NOT NULL)
    ) AS had (marketing_allowed)
    WHERE pg_catalog.regexp_replace({source}.row_hash, '^gone '::text, ''::text) = {computed}
)
