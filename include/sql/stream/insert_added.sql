INSERT INTO {held} BY NAME
FROM {added}
