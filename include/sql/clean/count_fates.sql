-- Where every row went, by day. Records of any size that are set aside for one reason are counted together.
SELECT
    _day,
    CASE
        WHEN _known > {known_at} THEN 'unknown yet'
        WHEN _fault IS NOT NULL THEN 'quarantined'
        WHEN _id IN (SELECT id FROM duplicates WHERE place > 1) THEN 'duplicate'
        ELSE 'accepted'
    END AS fate,
    regexp_replace(_fault, ' \([0-9]+ bytes?\)$', '') AS reason,
    count(*) AS rows
FROM typed
GROUP BY ALL
ORDER BY ALL
