"""The edge to kopf: every handler turns an event into a wake, and does nothing else.

Only `kopf.on.event` is used. It keeps no finalizer and no annotation on anybody's object, so a ChatModel can
always be deleted, whether an operator runs or not (docs/design/0003).
"""
