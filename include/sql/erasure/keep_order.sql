-- A file without some rows has the others in the order that they had.
SET preserve_insertion_order = true
