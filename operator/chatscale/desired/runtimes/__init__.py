"""What the operator writes for one inference server: container, environment, probes, drain, HPA metrics.

One module per runtime, and `registry.py` with one entry per engine. What the operator reads from a runtime is in
`observe/dialects`. A runtime that is added needs one module in each folder (docs/design/0013).
"""
