"""Properties: what Hypothesis draws, from single steps to whole plans, and what is judged of it.

``machine`` walks over the whole surface one step at a time and knows after each one what must be; ``plans`` lets many
calls loose at once, and ``judges`` read what came of it. It must not know adapters, nor how rules are run.
"""
