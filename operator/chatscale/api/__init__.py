"""The ChatModel and ShopAssistant resources, their conditions, and the CRDs generated from them. Pure."""
