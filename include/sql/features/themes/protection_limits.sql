-- Limits that players set for themselves, self-exclusions, and bans by law. Each is unknown (NULL) if no source
-- delivers it. An exclusion or a ban that is delivered and cannot be read counts as one.
WITH increases AS (
    SELECT user_id, sum(limit_increases) AS increases
    FROM recent_state
    WHERE age < 90
    GROUP BY user_id
),
exclusions AS (
    SELECT
        user_id,
        -- The last change counts, also if it is a removal (NULL). A hundred years mean for ever.
        last(
            exclusion.changed_at
            + CASE
                WHEN exclusion.new_days < 36500 THEN to_microseconds((exclusion.new_days * 86400000000)::BIGINT)
                WHEN exclusion.new_days IS NOT NULL THEN INTERVAL 36500 DAYS
            END
            ORDER BY exclusion.changed_at
        ) AS until,
        bool_or(exclusion.new_days IS NOT NULL OR exclusion.old_days IS NOT NULL) AS was_excluded,
        max(exclusion.changed_at) AS last_change
    FROM (SELECT user_id, unnest(exclusions) AS exclusion FROM state WHERE exclusions IS NOT NULL)
    GROUP BY user_id
),
-- A row in quarantine is about every player whose id looks like its own, since it may be there for what is wrong with
-- its id.
lost AS (
    SELECT users.user_id, changed_at, unreadable
    FROM unreadable_exclusions
    JOIN users ON fold_id(users.user_id) = fold_id(unreadable_exclusions.user_id)
),
-- What a later change that can be read has replaced does not count any more.
unreadable AS (
    SELECT user_id, list(DISTINCT unreadable) AS unreadable_limits
    FROM lost
    LEFT JOIN exclusions USING (user_id)
    WHERE changed_at < last_change IS NOT TRUE
    GROUP BY user_id
)
SELECT
    user_id,
    CASE WHEN has_limits THEN coalesce(increases, 0) END::INTEGER AS rg_limit_increases_90d,
    CASE
        WHEN self_excluded_until > getvariable('as_of') OR until > getvariable('as_of') THEN 'active'
        WHEN list_contains(unreadable_columns, 'self_excluded_until') OR unreadable_limits IS NOT NULL THEN 'active'
        WHEN self_excluded_until IS NOT NULL OR was_excluded THEN 'past'
        WHEN has_limits OR has_players THEN 'none'
    END AS rg_self_exclusion_status,
    prohibited OR coalesce(list_contains(unreadable_columns, 'prohibited'), false) AS rg_prohibited_flag,
    nullif(
        list_sort(list_concat(coalesce(unreadable_columns, []), coalesce(unreadable_limits, []))), []
    ) AS protection_unreadable
FROM users
CROSS JOIN delivered
LEFT JOIN increases USING (user_id)
LEFT JOIN exclusions USING (user_id)
LEFT JOIN unreadable USING (user_id)
