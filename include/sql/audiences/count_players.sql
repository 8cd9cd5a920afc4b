-- Players who satisfy the condition of an audience, by why they are not in it; NULL counts those who are.
SELECT CASE WHEN NOT {gate} THEN coalesce(target.marketing_reason, 'not_allowed') END AS reason, count(*)
FROM {table} AS target
LEFT JOIN {reasons} AS reasons ON reasons.user_id = target.user_id AND reasons.as_of = target.as_of
WHERE {condition}
GROUP BY reason
ORDER BY reason
