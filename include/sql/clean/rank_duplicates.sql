-- Of good rows that share a business key on one day, which one stands: the latest known, then one whose protection
-- cannot be read (the player counts as protected), then the highest source key, then the highest contents.
-- They are ranked apart: few rows are duplicates, and ranking all of them is costly.
CREATE OR REPLACE TEMPORARY TABLE duplicates AS
WITH repeated AS (
    SELECT {key}, _day
    FROM typed
    WHERE _fault IS NULL AND (_known IS NULL OR _known <= {known_at})
    GROUP BY ALL
    HAVING count(*) > 1
)
SELECT
    typed._id AS id,
    row_number() OVER (
        PARTITION BY {key}, _day
        ORDER BY
            typed._known DESC NULLS LAST,
            typed._protection IS NOT NULL DESC,
            typed._source_key DESC,
            hash({columns}) DESC,
            typed._row
    ) AS place
FROM typed
JOIN repeated USING ({key}, _day)
WHERE typed._fault IS NULL AND (typed._known IS NULL OR typed._known <= {known_at})
