-- Of good rows that share a business key on one day, which one stands: the latest known, then one whose protection
-- cannot be read (the player counts as protected), then the highest source key, then the highest contents.
-- They are ranked apart: few rows are duplicates, and ranking all of them is costly. They are found by a hash of the key,
-- which takes half of the time. If two keys have one hash, their rows are ranked, each as the first of its key.
CREATE OR REPLACE TEMPORARY TABLE duplicates AS
WITH repeated AS (
    SELECT hash({key}, _day) AS keyed
    FROM typed
    WHERE _fault IS NULL AND (_known IS NULL OR _known <= {known_at})
    GROUP BY keyed
    HAVING count(*) > 1
)
SELECT
    _id AS id,
    row_number() OVER (
        PARTITION BY {key}, _day
        ORDER BY
            _known DESC NULLS LAST,
            _protection IS NOT NULL DESC,
            _source_key DESC,
            hash({columns}) DESC,
            _row
    ) AS place
FROM typed
WHERE _fault IS NULL
    AND (_known IS NULL OR _known <= {known_at})
    AND hash({key}, _day) IN (FROM repeated)
