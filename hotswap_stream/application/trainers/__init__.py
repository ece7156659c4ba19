"""Trainers by name: their protocol with a runner, their parameters, and what is heard of runs."""
