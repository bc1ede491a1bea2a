"""The characters that drawn texts are made of: all that UTF-8 can carry.

This room must not know what is drawn from them.
"""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

#: What ``codec="utf-8"`` means, which is what Hypothesis takes by itself. Said in its way, Hypothesis encodes a million
#: characters first to find out, for seconds, and anew in each run that starts in an empty directory as ours do.
CHARACTERS: Final = st.characters(exclude_categories=["Cs"])
