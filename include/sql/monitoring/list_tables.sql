SELECT table_name
FROM information_schema.tables
WHERE table_schema = 'ml_features' AND table_name = ANY (%(names)s)
