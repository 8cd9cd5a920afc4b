"""Published models of customers. They take and return numbers, and use no file, SQL or setting.

Modules here import numpy and scipy at the top, so callers import these modules inside a function.
"""
