"""Run the command line as `python -m mlquery`."""

from mlquery.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
