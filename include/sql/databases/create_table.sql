-- A table, held for several statements, by a name that they use.
CREATE OR REPLACE TEMPORARY TABLE {name} AS {rows}
