"""Why a dataset is not built."""

from hotswap_stream.errors import HotswapError


class DatasetError(HotswapError):
    """No dataset can be built of this, or none with this name is there; the message says what would be right."""
