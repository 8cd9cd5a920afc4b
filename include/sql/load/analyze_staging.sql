-- Without statistics the planner takes a fresh table for a few hundred distinct keys. Three thousand rows tell that they
-- are all different as well as thirty thousand do.
SET LOCAL default_statistics_target = 10;
ANALYZE {staging} ({columns})
