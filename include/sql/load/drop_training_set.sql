DROP FUNCTION {schema}.training_set(regclass, text, interval, timestamptz)
