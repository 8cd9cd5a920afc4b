-- Runs in the data engine.
DESCRIBE SELECT * FROM {source}
