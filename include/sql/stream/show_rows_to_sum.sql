-- The rows of a source that make parts now: those that came, and all of a player of whom a row has gone.
CREATE OR REPLACE TEMPORARY VIEW {name} AS
SELECT * FROM {added} ANTI JOIN corrected USING (user_id)
UNION ALL BY NAME
SELECT * FROM {held} SEMI JOIN corrected USING (user_id)
