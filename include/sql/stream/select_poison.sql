-- Messages that break the contract, each with its place in Kafka. The message itself is in the captured chunk.
SELECT _source_key, _row, split_part(_fault, ' (', 1)
FROM fresh
WHERE _fault IS NOT NULL
ORDER BY _source_key
