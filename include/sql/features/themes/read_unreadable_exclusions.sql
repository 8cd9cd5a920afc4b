-- Rows of limits or players in quarantine that may be about a self-exclusion: whom they protect, as the row spells it,
-- since when (NULL if unknown), and which column cannot be read.
SELECT
    protected_user_id AS user_id,
    happened_at AS changed_at,
    {name} || '.' || split_part(reason, ':', 1) AS unreadable
FROM {source}
WHERE protected_user_id IS NOT NULL
