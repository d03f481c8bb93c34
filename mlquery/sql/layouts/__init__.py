"""How runs and experiments lie in tables: where each field is, one module for each shape."""
