"""Pages of our own routers for people who follow their links in a browser; they load nothing from elsewhere."""

from functools import lru_cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request

from processors.resources import TEMPLATES


def page(template: str, root: str, **values: object) -> str:
    """HTML of a template of this room; ``root`` leads to the OGC API, without a slash at its end."""
    return _environment().get_template(template).render(root=root, **values)


def wants_page(request: Request) -> bool:
    """By ``f``, else by an Accept header that names HTML and not JSON, as browsers send it."""
    wanted = request.query_params.get("f")
    accepted = request.headers.get("accept", "")
    return wanted == "html" or (wanted is None and "text/html" in accepted and "json" not in accepted)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape(), undefined=StrictUndefined, trim_blocks=True
    )
