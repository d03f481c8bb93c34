"""Where strings meet rows: searches, counts, DataFrames, histories, pages and explanations, in one dialect."""
