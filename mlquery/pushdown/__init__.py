"""What another server can be asked of a plan: pure functions from a plan and a column of the matrix to AND queries."""
