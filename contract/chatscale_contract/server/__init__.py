"""The interface of an inference server replica, for operator, gateway and simulator."""
