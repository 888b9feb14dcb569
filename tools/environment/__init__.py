"""How the project's environments are made, with the standard library alone."""
