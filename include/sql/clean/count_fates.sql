-- Where every row went, by day.
SELECT
    _day,
    CASE
        WHEN _known > {known_at} THEN 'unknown yet'
        WHEN _fault IS NOT NULL THEN 'quarantined'
        WHEN rowid IN (SELECT id FROM duplicates WHERE place > 1) THEN 'duplicate'
        ELSE 'accepted'
    END AS fate,
    _fault,
    count(*) AS rows
FROM typed
GROUP BY ALL
ORDER BY ALL
