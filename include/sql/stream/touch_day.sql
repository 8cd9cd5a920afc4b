INSERT INTO touched
SELECT DISTINCT user_id, _day FROM {events} WHERE _day = {day}
