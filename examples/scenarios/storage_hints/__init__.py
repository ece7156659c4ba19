"""Hints for a store of blocks: five models in one worker, an experiment, a failure that nobody notices, a clean-up."""
