DELETE FROM {held} WHERE _day < {first}
