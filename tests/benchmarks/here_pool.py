"""A pool of processes that is this process."""


class HerePool:
    """As `dispose.workers.worker_pool`."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None: ...

    def map(self, function, values):
        return map(function, values)
