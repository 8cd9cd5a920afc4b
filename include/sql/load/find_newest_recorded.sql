-- The newest as_of of the history after an instant. The constant lets the planner leave out older partitions.
SELECT max(as_of) FROM {history} WHERE as_of > %(after)s
