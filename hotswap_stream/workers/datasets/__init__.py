"""Datasets: rows of requests and what turned out about them, joined and written as one artifact."""
