-- The rows of some lake objects in a captured file that also holds others.
SELECT * FROM {file} WHERE _source_key IN ({keys})
