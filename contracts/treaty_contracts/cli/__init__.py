"""The commands ``treaty check``, ``rules``, ``explain``, ``init`` and ``matrix``, which the command line of Treaty finds
through entry points and loads when they are used.

Everything about terminals is here. This room must not know how rules are run.
"""
