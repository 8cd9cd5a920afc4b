-- Rows of messages with their places in Kafka: the chunk that they belong to, and topic, partition and offset. Of two
-- places the later one sorts behind. A message that does not say when it was known has the broker's time for it.
SELECT
    rows.* REPLACE (messages."offset" AS _row {known}),
    {topic} || '/' || messages."partition" || '/' || lpad(messages."offset"::VARCHAR, 20, '0') AS _source_key,
    chunks.chunk AS _chunk
FROM ({rows}) AS rows
JOIN {messages} AS messages ON messages.number = rows._row
JOIN (VALUES {chunks}) AS chunks("partition", chunk) ON chunks."partition" = messages."partition"
