"""From text to a plan: syntax, parser, matrix, semantics and resolve. Never sees data."""
