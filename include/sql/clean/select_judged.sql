-- The rows of some days as the raw checks see them: typed, judged, duplicates and faulty ones included.
SELECT * EXCLUDE (_raw, _known)
FROM ({rows})
WHERE _day IN ({days})
