INSERT INTO corrected
SELECT DISTINCT user_id FROM removed
