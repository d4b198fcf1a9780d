"""Planning: a model, a cluster and a wish become a layout with its memory, or a refusal with the numbers."""

from .memory import Part, Stage
from .plan import Plan, make_plan, read_plan
from .pool import Pool, RankMemory
from .refusal import PlanRefused
from .roofline import Throughput, throughput
from .wish import STRATEGIES, Goal, Strategy, Wish

__all__ = [
    "STRATEGIES",
    "Goal",
    "Part",
    "Plan",
    "PlanRefused",
    "Pool",
    "RankMemory",
    "Stage",
    "Strategy",
    "Throughput",
    "Wish",
    "make_plan",
    "read_plan",
    "throughput",
]
