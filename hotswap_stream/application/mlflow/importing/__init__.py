"""What an MLflow model directory holds, where it lies, and what is taken of it: by flavor, with limits."""
