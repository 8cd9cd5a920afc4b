-- The held rows that may have the business key and day of a row of the batch, with their places among the held ones. These
-- are few: a message comes again, or two keys have one hash.
CREATE OR REPLACE TEMPORARY TABLE met AS
SELECT *, rowid AS _held
FROM {held}
WHERE rowid IN (
    SELECT held.rowid
    FROM {held} AS held
    SEMI JOIN (SELECT _keyed FROM fresh WHERE _fault IS NULL AND _day IN ({days})) AS fresh USING (_keyed)
)
