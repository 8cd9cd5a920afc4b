-- The live rows that may have changed, of the days that have any.
CREATE OR REPLACE TEMPORARY TABLE changed AS
SELECT DISTINCT user_id, day
FROM touched
WHERE day IN ({days})
