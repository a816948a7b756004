"""What was asked: the ChatModel resource, its conditions, and the CRD made from them. Pure."""
