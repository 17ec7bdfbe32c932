"""A lake's REST catalog on a real server, in this process."""

from contextlib import contextmanager
from threading import Thread

import uvicorn

from shoplake.lake.catalog import Lake
from shoplake.web import rest_catalog, serve


@contextmanager
def served(lake):
    """A real server in this process; gives its URL."""
    with serve.listen("127.0.0.1", 0) as listening:
        config = uvicorn.Config(rest_catalog.create(Lake(lake)), log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield serve.address("127.0.0.1", listening)
        finally:
            server.should_exit = True
            thread.join()
