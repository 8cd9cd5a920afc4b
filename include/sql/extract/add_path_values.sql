-- Rows in which some columns have the value of the object's path, unless the object itself has one.
SELECT * REPLACE ({values}) FROM ({rows})
