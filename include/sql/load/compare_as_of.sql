SELECT (SELECT min(as_of) FROM {staging}), (SELECT max(as_of) FROM {table})
