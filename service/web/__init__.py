"""The HTTP side: routes, bodies, preferences, problems."""
