-- A DataFrame's columns with the types of the contract.
SELECT {columns} FROM frame
