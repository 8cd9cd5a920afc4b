-- The rows that stand.
INSERT INTO {held} BY NAME
{accepted}
