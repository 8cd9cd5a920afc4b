-- Held rows that take part in the choice between duplicates: the one that stands is inserted again.
DELETE FROM {held} AS held
USING candidates AS fresh
WHERE {same_key} AND held._day = fresh._day
