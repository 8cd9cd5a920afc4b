-- The held rows of some players from a day on.
CREATE OR REPLACE TEMPORARY TABLE {name} AS
SELECT held.*
FROM {held} AS held
SEMI JOIN (SELECT DISTINCT user_id FROM touched) AS touched USING (user_id)
WHERE held._day >= {first}
