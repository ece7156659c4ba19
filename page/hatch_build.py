"""Build the page before a wheel, or an editable install, is made."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageHook(BuildHookInterface[Any]):
    """Puts the page into the package. Where that cannot be done, the rest of the product is still whole."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build the page; say why, where it cannot be built."""
        sys.path.insert(0, self.root)
        try:
            from tools.build_page import PageBuildError, build
        except ImportError:
            self.app.display_warning("the page is not built: its builder, tools/build_page.py, is not here")
            return
        finally:
            sys.path.remove(self.root)
        try:
            build(Path(self.root))
        except PageBuildError as error:
            self.app.display_warning(
                f"the page is not in this build, all else is: {error}. `make page` in a checkout tries it again."
            )
