"""The ChatModel resource, its conditions, and the CRD generated from them. Pure."""
