-- What later statements ask for by name.
SET VARIABLE {name} = {value}
