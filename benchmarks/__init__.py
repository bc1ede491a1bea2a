"""Our calls beside the raw libraries' echo of the same bytes, in one run and in turn: the figures are ratios."""
