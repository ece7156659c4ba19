"""Models as frameworks store them, from elsewhere: opened and made a graph of in a process of its own."""
