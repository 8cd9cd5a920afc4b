-- Players of an as_of by segment.
SELECT {dimension}::text AS segment, count(*) AS players
FROM {table}
WHERE as_of = %(as_of)s
GROUP BY {dimension}
