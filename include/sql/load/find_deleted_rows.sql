-- Rows that the table lacks, although its newest run had them: somebody has deleted them. What this load has just recorded
-- is not among them.
SELECT recorded.*
FROM {history} AS recorded
WHERE recorded.as_of = %(newest)s
  AND recorded.marketing_reason IS NULL
  AND recorded.updated_at < %(written_at)s
  AND NOT EXISTS (SELECT FROM {table} AS target WHERE target.{key} = recorded.{key})
