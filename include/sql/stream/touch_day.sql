INSERT INTO touched
SELECT DISTINCT user_id, _day FROM part_events WHERE _day = {day}
