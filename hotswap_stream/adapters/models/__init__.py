"""What every way to compute a model shares: reading artifacts, batches of known sizes, checks of what is computed."""
