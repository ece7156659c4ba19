"""Parameters that several operations take."""

from typing import Annotated

from litestar.params import PathParameter

ModelNameInPath = Annotated[str, PathParameter(description="Name of the model.")]
VersionInPath = Annotated[str, PathParameter(description="Name of the version.")]
UploadInPath = Annotated[str, PathParameter(description="Id of the upload.")]
