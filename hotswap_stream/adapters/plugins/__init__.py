"""Runtimes in processes of their own, and what is installed here, found out in one."""
