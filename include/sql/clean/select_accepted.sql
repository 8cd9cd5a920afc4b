-- Good rows, one per business key and day.
SELECT {columns}, _day
FROM typed
WHERE _fault IS NULL
    AND (_known IS NULL OR _known <= {known_at})
    AND _id NOT IN (SELECT id FROM duplicates WHERE place > 1)
