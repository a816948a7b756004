"""What the customer wants: an order, a return, a product, a policy, a person. Pure."""
