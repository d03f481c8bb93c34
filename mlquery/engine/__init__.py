"""Two functions of one type, `(Table, Plan) -> rows`: `reference` is the specification, `columnar` runs."""
