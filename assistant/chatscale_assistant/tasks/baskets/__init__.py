"""Purchases, and what customers are likely to buy next. Pure."""
