"""Transfers runs between stores: pulls them from other servers, pushes them there, exports them to files."""
