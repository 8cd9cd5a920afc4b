-- Rows of the table of which the history has no row of the same player and as_of.
SELECT held.*
FROM {table} AS held
LEFT JOIN {history} AS day ON day.{key} = held.{key} AND day.as_of = %(newest)s
WHERE held.as_of = %(newest)s AND day.{key} IS NULL AND %(has_unrecorded)s
UNION ALL
SELECT held.*
FROM {table} AS held
WHERE held.as_of IS DISTINCT FROM %(newest)s
  AND %(has_other)s
  AND (
      SELECT true FROM {history} AS day WHERE day.{key} = held.{key} AND day.as_of = held.as_of LIMIT 1
  ) IS NULL
