"""The edge to kopf: every handler puts an event into the watch cache and starts passes, and does nothing else.

Only `kopf.on.event` is used. It adds no finalizer and no annotation to any object, so a ChatModel can always be
deleted, whether an operator runs or not (docs/design/0003).
"""
