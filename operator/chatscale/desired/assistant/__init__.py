"""Pure builders from a ShopAssistant to the manifests of its children."""
