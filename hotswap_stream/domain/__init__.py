"""The rules: one aggregate per model, `decide` and `evolve`, and the validation policy. Pure."""
