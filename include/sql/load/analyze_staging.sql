-- Without statistics the planner takes a fresh table for a few hundred distinct keys.
ANALYZE {staging} ({columns})
