-- The rows of some days in files that hold others, too.
SELECT * FROM {files} WHERE _day IN ({days})
