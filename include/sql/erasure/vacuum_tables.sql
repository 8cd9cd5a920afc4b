-- What was deleted goes from the files, and what the planner remembers of the values is measured again.
VACUUM (ANALYZE) {tables}
