"""Connects requests with replicas: waits in the hold, leases slots, ejects replicas."""
