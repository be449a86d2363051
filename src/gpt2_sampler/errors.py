"""Every error a user can meet, each a one-line message.

SamplerError            a failure: exit code 1
├── UsageError          a mistake in what was asked for: exit code 2
├── CheckpointError     a model file is missing, damaged or does not fit the others
├── EngineError         the model cannot be run on this machine as asked
│   └── OutOfMemory     nor with so many texts at once, perhaps with fewer
└── DownloadError       a model could not be fetched

A message says what is wrong, with which value, and what to do next.
"""


class SamplerError(Exception):
    exit_code = 1


class UsageError(SamplerError):
    exit_code = 2


class CheckpointError(SamplerError):
    pass


class EngineError(SamplerError):
    pass


class OutOfMemory(EngineError):
    pass


class DownloadError(SamplerError):
    pass
