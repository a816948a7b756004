"""The pages for browsers: static files, read once when the process starts."""
