-- Good rows, one per business key and day, day by day. Within a day they are in the order of their places in the source, so
-- that the same rows always make the same file.
SELECT {columns}, _day
FROM typed
WHERE _fault IS NULL
    AND (_known IS NULL OR _known <= {known_at})
    AND _id NOT IN (SELECT id FROM duplicates WHERE place > 1)
ORDER BY _day, _row, _source_key
