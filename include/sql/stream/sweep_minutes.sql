DELETE FROM {table} WHERE minute < %(before)s
