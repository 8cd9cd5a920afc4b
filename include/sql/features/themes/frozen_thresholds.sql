-- Thresholds that an earlier run took from its players.
SELECT marker, threshold
FROM (VALUES {rows}) AS frozen(marker, threshold)
