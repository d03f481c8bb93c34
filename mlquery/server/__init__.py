"""An HTTP server that speaks MLflow's REST API about a store in memory, in any dialect of the support matrix.

It needs the extra `server` (Starlette and uvicorn), which nothing else in the package does.
"""
