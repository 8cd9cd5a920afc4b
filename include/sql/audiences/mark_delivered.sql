UPDATE {table} SET delivered_at = %(delivered_at)s WHERE publication = %(publication)s AND delivered_at IS NULL
