-- Cut-offs that an earlier run took from its players.
SELECT marker, cut_off
FROM (VALUES {rows}) AS frozen(marker, cut_off)
