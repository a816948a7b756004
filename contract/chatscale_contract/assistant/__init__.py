"""What the operator, the gateway and an assistant's pods share."""
