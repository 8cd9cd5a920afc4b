-- How far the stream has come: the next offset to read of each partition, and up to which offset a batch is being read.
CREATE TABLE {table} (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    claimed_offset bigint NOT NULL,
    committed_at timestamptz NOT NULL,
    PRIMARY KEY (topic, partition),
    CHECK (claimed_offset >= next_offset)
)
