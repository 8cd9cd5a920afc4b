-- Rows in quarantine, the newest days first. Without a reason it is those of all reasons.
SELECT reason, source_key, source_row, nullif(_day, DATE '0001-01-01') AS day, business_key, record::VARCHAR AS record
FROM {rows}
WHERE $reason::VARCHAR IS NULL OR reason = $reason
ORDER BY _day DESC, source_key, source_row
LIMIT $most
