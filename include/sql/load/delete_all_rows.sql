-- Not TRUNCATE: that waits for readers, makes later ones wait, and shows older snapshots an empty table.
DELETE FROM {table}
