"""``treaty demo``: a service in another process, every way to call it, and a transcript of what came back.

``teahouse`` is the service, ``child`` its process, ``steps`` what is done and expected, ``transcript`` how it looks.
This package must stay importable without typer and rich, as the other process needs neither.
"""
