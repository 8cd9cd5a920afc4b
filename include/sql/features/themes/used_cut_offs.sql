-- The cut-offs that the markers were compared with.
SELECT marker, cut_off FROM cut_offs ORDER BY marker
