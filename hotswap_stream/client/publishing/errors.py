"""Why a model is not published."""

from hotswap_stream.errors import HotswapError


class PublishError(HotswapError):
    """The model cannot be published; the message says why, and what would do."""


class UnsupportedModelError(PublishError):
    """No converter makes a graph of this model."""


class ExampleError(PublishError):
    """The example rows are missing, or they are none of this model."""


class ConversionDiffersError(PublishError):
    """The graph does not answer as the model does."""


class ConverterMissingError(PublishError):
    """What converts this model, or the model's own framework, is not installed here."""
