"""What the operator reads from one inference server: its metrics, and the meaning of its exit codes.

One module per runtime, and `registry.py` with one entry per engine. What the operator writes for a runtime is in
`desired/runtimes`. The two do not import each other: they agree through `chatscale_contract`.
"""
