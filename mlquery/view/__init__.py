"""The page that shows and compares runs: its assets, the data it reads, and the report that holds both in one file."""
