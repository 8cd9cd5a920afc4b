-- Messages that break their contract: where they are, and why. What they say is in the captured chunk.
CREATE TABLE {table} (
    source text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    reason text NOT NULL,
    committed_at timestamptz NOT NULL,
    PRIMARY KEY (topic, partition, "offset")
)
