"""What obstore offers to keep artifacts in."""

from obstore.store import LocalStore, MemoryStore, S3Store

Backend = LocalStore | MemoryStore | S3Store
