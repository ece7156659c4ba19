"""What can happen to a model and its versions, and the readable state that follows from it."""
