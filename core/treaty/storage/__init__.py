"""Storage: one service keeps the objects that several share, and tells everybody what changes, without a silent gap.

Built on what ``treaty`` exports; needs nothing but msgspec, unless a store is in SQL: ``pip install 'treaty[sql]'``.
"""

from treaty.storage.aio import AsyncStorageClient
from treaty.storage.client import StorageClient
from treaty.storage.configuration import StoreConfig, read_config
from treaty.storage.errors import (
    Conflict,
    IncompatibleSchema,
    NotFound,
    StorageError,
    StoreUnavailable,
    UnknownModel,
    Unreadable,
    ValidationFailed,
)
from treaty.storage.memory import MemoryStore
from treaty.storage.models import Model, model, model_of
from treaty.storage.notifications import Happened, Notifications
from treaty.storage.planning import Outcome, Plan, identities, plan
from treaty.storage.records import Batch, Beat, Change, Entry, Event, Gap, Notice, Page, Position, Standing, Write
from treaty.storage.service import StorageService
from treaty.storage.store import Store
from treaty.storage.watch import Watch

__all__ = [
    "AsyncStorageClient",
    "Batch",
    "Beat",
    "Change",
    "Conflict",
    "Entry",
    "Event",
    "Gap",
    "Happened",
    "IncompatibleSchema",
    "MemoryStore",
    "Model",
    "NotFound",
    "Notice",
    "Notifications",
    "Outcome",
    "Page",
    "Plan",
    "Position",
    "Standing",
    "StorageClient",
    "StorageError",
    "StorageService",
    "Store",
    "StoreConfig",
    "StoreUnavailable",
    "UnknownModel",
    "Unreadable",
    "ValidationFailed",
    "Watch",
    "Write",
    "identities",
    "model",
    "model_of",
    "plan",
    "read_config",
]
