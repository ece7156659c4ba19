"""What the author of an architecture, a runtime, an evaluator or a trainer needs; see the guide on plug-ins.

An installed package declares its names by entry points, in the groups `hotswap_stream.architectures`,
`hotswap_stream.runtimes`, `hotswap_stream.evaluators` and `hotswap_stream.trainers`; a module that is not packaged is
named in `HOTSWAP_PLUGIN_MODULES`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hotswap_stream.application.artifacts.manifest import Argument as Argument
from hotswap_stream.application.artifacts.manifest import Package as Package
from hotswap_stream.application.artifacts.manifest import TensorSpec as TensorSpec
from hotswap_stream.application.artifacts.manifest import WindowSpec as WindowSpec
from hotswap_stream.application.plugins.packing import pack_runtime as pack_runtime
from hotswap_stream.application.plugins.registered import Runtime as Runtime
from hotswap_stream.application.plugins.registered import Signature as Signature
from hotswap_stream.application.plugins.registered import architecture as architecture
from hotswap_stream.application.plugins.registered import evaluator as evaluator
from hotswap_stream.application.plugins.registered import runtime as runtime
from hotswap_stream.application.plugins.registered import trainer as trainer
from hotswap_stream.application.trainers.job import Trained as Trained
from hotswap_stream.application.trainers.job import TrainingDataError as TrainingDataError
from hotswap_stream.application.trainers.job import TrainingJob as TrainingJob
from hotswap_stream.application.training.evaluation import Metric as Metric

if TYPE_CHECKING:
    from torch import nn


def pack_module(name: str, module: "nn.Module", arguments: Mapping[str, Argument] | None = None) -> bytes:
    """Make an artifact file of a trained module, for `hotswap-stream register`. The same weights give the same bytes.

    Args:
        name: Name of its architecture, registered in this process or declared by an installed package.
        module: What the architecture builds with these arguments, trained.
        arguments: The architecture's.

    Raises:
        MissingPluginError: There is no architecture of this name.
        ArchitectureArgumentsError: It does not take the arguments.
        ModuleNotSavableError: The weights cannot be written as safetensors.
        WeightsMismatchError: They are not those of the architecture.
        WarmUpError: The module does not compute what the architecture declares.
    """
    from hotswap_stream.adapters.torch.modules.architectures import manifest_of
    from hotswap_stream.adapters.torch.modules.loading import load_module
    from hotswap_stream.adapters.torch.modules.saving import save_module

    manifest = manifest_of(name, arguments or {})
    content = save_module(module, manifest)
    load_module(manifest, content)
    return content
