INSERT INTO touched
SELECT user_id, _day FROM fresh
WHERE _fault IS NOT NULL AND _protection IS NOT NULL AND user_id IS NOT NULL AND _day IS NOT NULL
