"""The old path of `mlquery.query.histories`, for one release; see `mlquery._moved`."""

from mlquery._moved import names_of

__getattr__ = names_of(__name__, "mlquery.query.histories")
