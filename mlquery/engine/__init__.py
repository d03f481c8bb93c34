"""Two functions `(store, plan, limit) -> rows`: `reference` is the specification, `columnar` is used for searches."""
