-- All names in the JSON records of each object that was gathered in one file.
SELECT parts._source_key, list(DISTINCT name ORDER BY name)
FROM (SELECT _row, unnest(json_keys(record)) AS name FROM ({records}) WHERE record IS NOT NULL) AS rows
ASOF JOIN (VALUES {places}) AS parts(_first, _source_key) ON rows._row > parts._first
GROUP BY parts._source_key
