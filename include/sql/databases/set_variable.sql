-- A variable that later statements read by its name.
SET VARIABLE {name} = {value}
