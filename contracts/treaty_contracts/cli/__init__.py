"""The commands ``treaty check``, ``rules``, ``explain``, ``init`` and ``matrix``, which the command line of Treaty finds
through entry points and loads when they are used.

Everything about terminals is here. This room must not know how rules are run.
"""

from importlib.util import find_spec

# The rules need it, in another process and later than whoever lacks it is to hear of it. It is not imported here, as that
# takes a fifth of a second, and the commands themselves draw nothing.
if find_spec("hypothesis") is None:
    raise ModuleNotFoundError("No module named 'hypothesis'", name="hypothesis")
