-- A view for later statements, under the name that they use.
CREATE OR REPLACE TEMPORARY VIEW {name} AS {rows}
