"""Measuring versions of any kind on labelled sets: files and artifacts of sets, evaluators, the process they run in."""
