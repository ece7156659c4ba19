"""The trainer: runs each training in a process of its own and tells how it ended."""
