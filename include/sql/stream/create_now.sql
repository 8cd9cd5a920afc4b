-- The daily row of each player, with what has happened since its as_of. A self-exclusion that came today ends marketing at
-- once. It reads with the rights of its owner, so its columns are granted as those of the tables are.
CREATE VIEW {view} AS
SELECT
    {daily_columns},
    daily.marketing_allowed AND NOT EXISTS (
        SELECT FROM {live} AS said
        WHERE said.user_id = daily.user_id
            AND said.day >= pg_catalog.timezone({zone}::text, daily.as_of)::date
            AND NOT said.marketing_allowed
    ) AS marketing_allowed,
    {live_columns}
FROM {daily} AS daily
LEFT JOIN LATERAL (
    SELECT *
    FROM {live} AS newest
    WHERE newest.user_id = daily.user_id
        AND newest.day >= pg_catalog.timezone({zone}::text, daily.as_of)::date
    ORDER BY newest.day DESC
    LIMIT 1
) AS live ON true
