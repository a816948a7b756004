"""Watches ChatModels, pods and peer gateways, and reads the load of replicas."""
