-- A source that is not streamed: its columns and no rows.
CREATE OR REPLACE TEMPORARY VIEW {name} AS
SELECT {columns}, NULL::VARCHAR AS _source_key, NULL::DATE AS _day
WHERE false
