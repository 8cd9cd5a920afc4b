-- The thresholds that the markers were held against.
SELECT marker, threshold FROM thresholds ORDER BY marker
