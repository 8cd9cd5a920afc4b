-- The rows of some chunks of a stream in a captured file that also holds others.
SELECT * FROM {file} WHERE _chunk IN ({keys})
