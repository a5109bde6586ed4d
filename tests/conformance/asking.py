"""What the tests of all parts look for in answers."""

import httpx

PROBLEM = "application/problem+json"


def problem(answer: httpx.Response, status: int, *said: str) -> None:
    """A refusal is a problem document (RFC 9457) that names what was wrong."""
    assert answer.status_code == status, (answer.status_code, answer.text[:500])
    assert answer.headers["content-type"] == PROBLEM
    body = answer.json()
    assert body["status"] == status
    assert body["title"]
    for each in said:
        assert each in body["detail"], body["detail"]


def links(document: dict, rel: str) -> list[dict]:
    """The links of a relation, full or short."""
    short = rel.removeprefix("ogc:")
    wanted = {rel, f"http://www.opengis.net/def/rel/ogc/1.0/{short}"}
    return [link for link in document["links"] if link["rel"] in wanted]


def link(document: dict, rel: str, media_type: str | None = None) -> str:
    """The address of the one link of a relation (and media type)."""
    found = [each for each in links(document, rel) if media_type in (None, each["type"])]
    assert len(found) == 1, (rel, media_type, found)
    return found[0]["href"]


def follow(client: httpx.Client, each: dict) -> httpx.Response:
    """What a link leads to; it has the media type that the link states."""
    answer = client.get(each["href"], headers={"Accept": each["type"]}, follow_redirects=True)
    assert answer.status_code == 200, (each, answer.text[:300])
    stated, given = (text.split(";")[0].strip() for text in (each["type"], answer.headers["content-type"]))
    assert given == stated, each
    return answer
