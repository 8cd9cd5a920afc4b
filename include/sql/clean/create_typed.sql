-- All rows of a batch.
CREATE OR REPLACE TEMPORARY VIEW typed AS
{rows}
