-- Without statistics the planner assumes a few hundred distinct keys in a new table. A sample of three thousand rows
-- shows as well as one of thirty thousand that all keys differ.
SET LOCAL default_statistics_target = 10;
ANALYZE {staging} ({columns})
