"""The store that is kept on disk: a journal of every change, snapshots, locks between processes, and repair."""
