-- For the data engine.
DESCRIBE SELECT * FROM {source}
