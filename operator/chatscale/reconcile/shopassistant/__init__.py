"""The passes over ShopAssistants."""
