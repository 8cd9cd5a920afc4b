-- Rows of one weekday, Monday 0.
SELECT * FROM {source} WHERE isodow(_day) - 1 = {weekday}
