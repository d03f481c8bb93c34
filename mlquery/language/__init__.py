"""From the string of a query to its plan: syntax, parser, matrix, semantics and resolve. Independent of any data."""
