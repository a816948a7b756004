"""Tasks with JSON schemas: sentiment, review-risk, recommend, order-advice, product-copy, summarise."""
