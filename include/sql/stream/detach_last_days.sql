DETACH last_days
