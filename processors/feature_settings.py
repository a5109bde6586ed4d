"""What an operator may set for features."""

from pydantic import Field

from cup4soil.settings import Settings
from processors.feature_query import DEFAULT


class FeatureSettings(Settings):
    """Settings with the limit of features."""

    features_items: int = Field(default=1000, ge=DEFAULT, description="Most features on one page.")
