"""The parts of the OpenAI API that every program on the request path speaks: error bodies and stream framing."""
