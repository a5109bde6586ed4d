"""The configuration of pycsw, made from csw.cfg and the environment."""

import configparser
import os
import string
from pathlib import Path

_DEFAULTS = {
    "CSW_URL": "http://127.0.0.1:8001/csw",
    "CSW_TITLE": "CUP4SOIL",
    "CSW_CONTACT_EMAIL": "",
}


def configuration() -> configparser.ConfigParser:
    """What pycsw is to be told; ``CSW_HOME`` has to be set."""
    values = _DEFAULTS | os.environ
    text = Path(__file__).with_name("csw.cfg").read_text(encoding="utf-8")
    config = configparser.ConfigParser(interpolation=None)
    config.read_string(string.Template(text).substitute(values))
    return config
