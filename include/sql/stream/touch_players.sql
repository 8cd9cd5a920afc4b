-- The players whose rows a batch may change.
INSERT INTO touched
SELECT user_id FROM candidates
UNION
SELECT user_id FROM fresh WHERE _fault IS NOT NULL AND _protection IS NOT NULL AND user_id IS NOT NULL
