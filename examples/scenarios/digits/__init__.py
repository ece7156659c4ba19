"""Digits: files of training data arrive; versions are trained, tried in the shadow, promoted or archived."""
