"""Every setting: typed, bounded, strict."""

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Base of all settings: frozen plain data; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSettings(Settings):
    """What the renderer is made of."""

    coarse_samples: int = Field(64, ge=4, le=1024, description="samples of the coarse pass on a ray")
    fine_samples: int = Field(32, ge=1, le=1024, description="samples that the fine pass adds on a ray")
