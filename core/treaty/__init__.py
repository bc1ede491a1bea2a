"""Treaty: Python services that call each other over any transport."""

__version__ = "0.1.0"
