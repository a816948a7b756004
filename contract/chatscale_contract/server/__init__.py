"""The interface of an inference server replica: what the operator, the gateway and the simulator may rely on."""
