"""HTTP itself: problems, who may, limits on connections, and the document of the operations."""
