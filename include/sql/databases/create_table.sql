-- A temporary table for later statements, under the name that they use.
CREATE OR REPLACE TEMPORARY TABLE {name} AS {rows}
