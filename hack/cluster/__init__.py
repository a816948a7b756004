"""Bring up the cluster that the end-to-end tests and the demo run on.

Stdlib only and free of any virtual environment, because it runs before one
exists.  It never asks a question, never waits silently, and changes nothing
outside Docker, the kubeconfig and its own cache folder.
"""
