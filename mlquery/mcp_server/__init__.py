"""The server for assistants: turns calls of the Model Context Protocol into searches, and their results into text.

It has no rules of its own: `tools` calls what the command line calls, and only `server` knows the protocol.
"""
