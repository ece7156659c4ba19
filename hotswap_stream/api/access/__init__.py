"""Who may do what over HTTP: who asks, what a route needs, and the routes of keys."""
