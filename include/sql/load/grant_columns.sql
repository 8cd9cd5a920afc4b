GRANT SELECT ({columns}) ON {table} TO {role}
