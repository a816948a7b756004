"""`chatscale simulate`: opens traces, plays them on all cores, and tells a person what came out.

The model of time and of servers is in `chatscale.simulation`, which is pure; here are files, processes and pictures.
"""
