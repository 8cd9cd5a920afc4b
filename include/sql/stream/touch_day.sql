INSERT INTO touched
SELECT DISTINCT user_id FROM {held} WHERE _day = {day}
