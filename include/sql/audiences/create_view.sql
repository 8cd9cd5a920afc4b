-- The players of an audience, as the table says now. A barrier: nobody's own condition is asked before ours.
CREATE VIEW {view} WITH (security_barrier = true) AS
SELECT {columns}
FROM {table} AS target
LEFT JOIN {reasons} AS reasons ON reasons.user_id = target.user_id AND reasons.as_of = target.as_of
WHERE {gate} AND {condition}
