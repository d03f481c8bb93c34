"""Searches of runs and experiments where they are: a `Plan` as SQL, over layouts of tables and dialects of SQL.

Filters, page tokens and the dialects of mlquery are not known here: what is asked is a `Plan`, what is answered are ids
and the data of a page as a small store in memory.
"""
