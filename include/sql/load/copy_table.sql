CREATE TABLE {backup} AS SELECT * FROM {table}
