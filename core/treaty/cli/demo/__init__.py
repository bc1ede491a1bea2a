"""``treaty demo``: services in other processes, every way to call one, state that is shared, and a transcript of it all.

``teahouse`` is a service, ``pantry`` what is shared, ``subscriber`` who shares it, ``child`` the other processes;
``steps`` and ``sharing`` are what is done and expected, ``transcript`` how it looks. What the other processes need must
stay importable without typer and rich.
"""
