"""What a user of `kimi-backend` did or has that cannot work. Each text says what to change.

BackendError            any of them; the command line prints it as one line and ends with exit code 1
├── SpecError           specs: a config.json that is no K2-like model's
├── HardwareError       hardware: GPUs that nobody knows, or that could not be read live
├── PlanRefused         plan: what cannot fit or run, with the numbers and what would
├── FlagError           engines: a launch that an engine cannot be told, or a command that its own parser would refuse
├── RenderError         render: a site that lacks what the target needs
├── WeightsError        weights: tensors that are not what the model, or their own scales, need
└── CheckpointError     checkpoint: files that are cut, missing or do not belong together
    └── TinyError       checkpoint.tiny: a script that no tiny model can say, or sizes that none can have
"""

__all__ = ["BackendError"]


class BackendError(Exception):
    """Base of the errors that say what their reader can change."""
