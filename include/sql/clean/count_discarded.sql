-- Values of good rows that were there and became NULL, by day and column.
SELECT _day, split_part(entry, ': ', 1) AS name, count(*) AS rows
FROM (
    SELECT _day, unnest(_discarded) AS entry
    FROM typed
    WHERE _fault IS NULL AND _discarded IS NOT NULL AND (_known IS NULL OR _known <= {known_at})
)
GROUP BY ALL
ORDER BY ALL
