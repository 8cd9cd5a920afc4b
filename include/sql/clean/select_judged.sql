-- A batch as the raw checks see it: typed, judged, duplicates and faulty rows included.
SELECT * EXCLUDE (_raw, _known, _id)
FROM typed
