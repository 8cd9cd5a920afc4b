-- No row has come since the parts were made.
CREATE OR REPLACE TEMPORARY TABLE {added} AS
FROM {held}
WHERE false
