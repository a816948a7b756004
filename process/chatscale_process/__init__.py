"""What each of our long-running processes needs besides its own work: settings, log lines, client connections.

The inference server has its own: it writes logs in another form, and it measures the progress of slow readers.
"""
