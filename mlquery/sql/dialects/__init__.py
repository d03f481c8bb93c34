"""How systems say in SQL what a plan means: one value for each, with the forms that were measured to mean the same.

**Source**: the trap table of each form is in `tests/test_sql_dialects.py`.
"""

from mlquery.sql.dialects.duckdb import DUCKDB
from mlquery.sql.dialects.mysql import MYSQL
from mlquery.sql.dialects.postgres import POSTGRES
from mlquery.sql.dialects.protocol import SqlDialect
from mlquery.sql.dialects.spark import SPARK
from mlquery.sql.dialects.sqlite import SQLITE

__all__ = ["DUCKDB", "MYSQL", "POSTGRES", "SPARK", "SQLITE", "SqlDialect"]
