-- A source as the statements of state and sessions read it: rows of some days.
CREATE OR REPLACE TEMPORARY VIEW {name} AS
FROM {touched}
WHERE _day IN ({days})
