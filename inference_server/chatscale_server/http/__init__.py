"""The HTTP front: an OpenAI-compatible API, probes, metrics and drain on one event loop. Never imports torch.

Reading order, from the process to the bytes:

- `serve`: build the application, listen, run to the end. `lifecycle`: loading, ready, draining; probes.
- `objectives`: the file with the SLO, which can change while the server runs.
- `handlers`: the endpoints. They use `preparation` (body to tokens and constraints), `generation` (body to engine
  requests), `response_writer` (output to JSON or SSE) and `tracing`.
- `bridge`: the crossing between event loop and engine thread; admission and accounting. `in_flight`: requests that
  are admitted and not finished.
- `schema`, `chat_schema`: request bodies. `responses`, `tool_calls`: response bodies.
- `transport`: connections, bounded bodies, error responses. `response_headers`: request ids and CORS.
"""
