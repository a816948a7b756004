"""The HTTP server: clients' requests, streams, probes and the demand report."""
