"""The systems that are measured: each turns a workload into its own store and answers the queries of the workload."""
