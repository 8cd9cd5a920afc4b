"""Published models of customers, pure numbers in and out: no file, no SQL, no setting.

Modules here import numpy and scipy at their top, so whoever uses them imports them inside a function.
"""
