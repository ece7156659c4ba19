"""The main job, end to end: `hotswap-stream demo`."""
