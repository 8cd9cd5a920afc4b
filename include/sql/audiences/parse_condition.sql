-- A statement as a tree. The engine parses it and runs nothing.
SELECT json_serialize_sql({text})
