-- The reason against marketing that a row of the table should have: a player who is gone since then is found in the
-- history's newest row. Only rows that do not say so are looked up.
SELECT
    CASE
        WHEN target.marketing_reason IS DISTINCT FROM 'gone' OR target.marketing_allowed
        THEN coalesce(
            (
                SELECT later.marketing_reason
                FROM {history} AS later
                WHERE later.{key} = target.{key} AND later.as_of >= target.as_of
                ORDER BY later.as_of DESC
                LIMIT 1
            ),
            target.marketing_reason
        )
        ELSE target.marketing_reason
    END AS marketing_reason
