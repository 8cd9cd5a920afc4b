-- The parts of the players whose live rows may have changed, from a day on.
SELECT *
FROM {table}
WHERE user_id IN (SELECT user_id FROM changed) AND _day >= {first}
