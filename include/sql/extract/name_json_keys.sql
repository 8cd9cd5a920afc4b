-- All names in some JSON records; none if no record is an object.
SELECT list(DISTINCT name ORDER BY name)
FROM (
    SELECT unnest(json_keys(record)) AS name
    FROM (SELECT record FROM ({records}) WHERE record IS NOT NULL {sample})
)
