"""Audiences: who is handed over to the CRM, in files of the store and as views, and who tells the CRM of it."""
