-- Players by where they came from and went to, with the commonest reason.
SELECT
    days,
    dimension,
    from_segment,
    to_segment,
    sum(players)::bigint AS players,
    (array_agg(reason ORDER BY players DESC, reason))[1] AS reason
FROM (
    SELECT days, dimension, from_segment, to_segment, reason, count(*) AS players
    FROM {view}
    WHERE as_of = %(as_of)s
    GROUP BY days, dimension, from_segment, to_segment, reason
) AS by_reason
GROUP BY days, dimension, from_segment, to_segment
ORDER BY days, dimension, players DESC, from_segment, to_segment
