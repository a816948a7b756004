"""All tasks by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from chatscale_assistant.tasks.order_advice import OrderAdviceInput, OrderAdviceResult, advise_orders
from chatscale_assistant.tasks.product_copy import ProductCopyInput, ProductCopyResult, write_copy
from chatscale_assistant.tasks.recommend import RecommendInput, RecommendResult, recommend_items
from chatscale_assistant.tasks.review_risk import ReviewRiskInput, ReviewRiskResult, assess_reviews
from chatscale_assistant.tasks.sentiment import SentimentInput, SentimentResult, classify_sentiment
from chatscale_assistant.tasks.summarise import SummariseInput, SummariseResult, summarise
from chatscale_assistant.tasks.task import Task, TaskContext


async def _sentiment(data: SentimentInput, context: TaskContext) -> SentimentResult:
    return await context.worker(lambda: classify_sentiment(data, context.encoder, context.head))


async def _review_risk(data: ReviewRiskInput, context: TaskContext) -> ReviewRiskResult:
    return await context.worker(lambda: assess_reviews(data))


async def _recommend(data: RecommendInput, context: TaskContext) -> RecommendResult:
    return await context.worker(lambda: recommend_items(data, context.now, context.fits))


async def _order_advice(data: OrderAdviceInput, context: TaskContext) -> OrderAdviceResult:
    return await context.worker(lambda: advise_orders(data, context.now))


_ALL: Final[tuple[Task[Any, Any], ...]] = (
    Task("sentiment", "Tone of a text.", SentimentInput, SentimentResult, _sentiment),
    Task("review-risk", "How likely reviewers fake their ratings.", ReviewRiskInput, ReviewRiskResult, _review_risk),
    Task("recommend", "Items for a customer or a basket.", RecommendInput, RecommendResult, _recommend),
    Task(
        "order-advice", "What to order, and which parcels are late.", OrderAdviceInput, OrderAdviceResult, _order_advice
    ),
    Task("product-copy", "Text for a product's page.", ProductCopyInput, ProductCopyResult, write_copy),
    Task("summarise", "Quotes that stand for messages or reviews.", SummariseInput, SummariseResult, summarise),
)
TASKS: Final[Mapping[str, Task[Any, Any]]] = MappingProxyType({task.name: task for task in _ALL})
