-- Messages that nobody has confirmed yet, in the order in which they were published.
SELECT publication, audience, message FROM {table} WHERE message IS NOT NULL AND delivered_at IS NULL ORDER BY place
