"""Who may do what over HTTP: who asks, by key or by session, what a route needs, and signing in to the page."""
