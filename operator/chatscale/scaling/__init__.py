"""The scaling policy: from observations to a replica count. Pure; `policy.py` lists its stages."""
