-- A view by a name that later statements use.
CREATE OR REPLACE TEMPORARY VIEW {name} AS {rows}
