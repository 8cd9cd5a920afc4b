-- The row_hash that a run would give these cells: of the text that assemble_features.sql hashes, as the data engine spells it.
pg_catalog.md5((SELECT pg_catalog.to_json(cells)::text FROM (SELECT {cells}) AS cells))
