"""Inference workers."""

import sys
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

from hotswap_events.registry.version_options import VersionOptions
from hotswap_stream.application.processes.lasting import lasting
from hotswap_stream.application.topics.reply_topics import ReplyTopics
from hotswap_stream.bootstrap.artifacts import artifact_store
from hotswap_stream.bootstrap.environment import answer_tags, connection, topics
from hotswap_stream.bootstrap.plugins import kinds_here, plugins_here, use_plugins
from hotswap_stream.bootstrap.registry import build_registry
from hotswap_stream.bootstrap.topic_care import ensure_control_topics, model_topics_creator
from hotswap_stream.bootstrap.trials import artifact_tried_aside, stored_trials
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import Settings

if TYPE_CHECKING:
    from hotswap_stream.adapters.models.by_kind import ContentLoader, ExportedLoader, LoaderByKind
    from hotswap_stream.adapters.onnx.loader import GraphExecutorSetting
    from hotswap_stream.adapters.torch.executors.config import ExecutorConfig
    from hotswap_stream.workers.inference.worker import InferenceWorker


def reply_topics(settings: Settings) -> ReplyTopics:
    """Return the topics that copies of answers may go to. ConfigurationError."""
    patterns = [pattern.strip() for pattern in (settings.reply_topics or "").split(",")]
    try:
        return ReplyTopics(topics(settings), list(filter(None, patterns)))
    except ValueError as error:
        raise ConfigurationError(f"HOTSWAP_REPLY_TOPICS: {error}") from error


def executor_config(settings: Settings) -> "ExecutorConfig":
    """Return how this environment's versions are executed."""
    from hotswap_stream.adapters.torch.executors.config import ExecutorConfig

    return ExecutorConfig(
        executor=settings.executor,
        compile_allowed=settings.executor_compile,
        choice_ms_max=settings.executor_choice_ms_max,
        graph_ms_max=settings.executor_graph_ms_max,
        graph_folder=settings.cache / "executors",
        batch_rows_max=settings.batch_size_max,
        torch_threads=settings.torch_threads,
        device=settings.torch_device,
    )


def graph_executor(settings: Settings) -> "GraphExecutorSetting":
    """Return what computes graphs here: of what the setting may name, they know two."""
    match settings.executor:
        case "auto" | "openvino":
            return settings.executor
        case _:
            return "onnxruntime"


def model_loader(settings: Settings, *, tries: bool = True) -> "LoaderByKind":
    """Return what loads versions of every kind, each with what is installed for it.

    Args:
        settings: The environment to work in.
        tries: Whether a graph is tried in a process of its own before it is loaded on this machine for the first time.
    """
    from hotswap_stream.adapters.models.by_kind import LoaderByKind
    from hotswap_stream.adapters.models.graph_first import GraphFirst

    store = artifact_store(settings)
    trials = stored_trials(settings, store) if tries else None
    use_plugins(settings)

    def is_slow() -> bool:
        return "torch" not in sys.modules

    def architectures() -> "ContentLoader":
        from hotswap_stream.adapters.torch.modules.libraries import load_largest_library

        if is_slow():
            load_largest_library()
        with lasting() if is_slow() else nullcontext():
            from hotswap_stream.adapters.torch.executors.loader import TorchModelLoader

        return TorchModelLoader(store, config=executor_config(settings))

    def graphs() -> "ContentLoader":
        from hotswap_stream.adapters.onnx.loader import OnnxModelLoader

        return OnnxModelLoader(
            threads=settings.torch_threads,
            batch_rows_max=settings.batch_size_max,
            executor=graph_executor(settings),
            choice_ms_max=settings.executor_choice_ms_max,
            tried_aside=partial(artifact_tried_aside, settings, VersionOptions(executor="openvino")) if tries else None,
        )

    def exported() -> "ExportedLoader":
        from hotswap_stream.adapters.onnx.exported_loader import ExportedGraphLoader

        return ExportedGraphLoader(
            store,
            threads=settings.torch_threads,
            batch_rows_max=settings.batch_size_max,
            check=None if trials is None else trials.exported,
        )

    def runtimes() -> "ContentLoader":
        from hotswap_stream.adapters.plugins.runtime_loader import RuntimeLoader

        return RuntimeLoader(
            load_seconds_max=settings.runtime_load_seconds_max,
            pass_seconds_max=settings.runtime_seconds_max,
            memory_bytes_max=settings.runtime_memory_bytes_max,
            pass_cpu_seconds_max=settings.runtime_cpu_seconds_max,
        )

    # A setting that names an executor, or a device, is answered by that from the first request on.
    plain = settings.executor == "auto" and settings.torch_device == "cpu"
    return LoaderByKind(
        store,
        {"architecture": architectures, "onnx": graphs, "runtime": runtimes},
        check=trials,
        exported=exported,
        graph_first=GraphFirst(trials, is_slow) if plain and trials is not None else None,
    )


async def put_out_former_self(settings: Settings, worker: str) -> None:
    """Give what a worker of this name had before it died to others, where there are any: the first thing at its start.

    Args:
        settings: The environment to work in.
        worker: Name of the worker, unique and the same after a restart.
    """
    from hotswap_stream.workers.inference import former_self

    await former_self.put_out_former_self(connection(settings).client_options(), topics(settings), worker)


async def build_worker(settings: Settings, worker: str, model_names: frozenset[str] | None = None) -> "InferenceWorker":
    """Return an inference worker, not started. It creates the control topics if they are missing.

    Args:
        settings: The environment to work in.
        worker: Name of the worker, unique and the same after a restart.
        model_names: The models to serve; None: all.

    Raises:
        PluginConflictError: Two plug-ins have one name.
    """
    from hotswap_stream.workers.inference.config import WorkerConfig
    from hotswap_stream.workers.inference.limits import LoopLimits
    from hotswap_stream.workers.inference.worker import InferenceWorker

    await ensure_control_topics(settings)
    config = WorkerConfig(
        worker=worker,
        topics=topics(settings),
        answer_tags=answer_tags(settings),
        reply_topics=reply_topics(settings),
        client_options=connection(settings).client_options(),
        librdkafka_options=connection(settings).librdkafka_options(),
        limits=LoopLimits(
            batch_size_max=settings.batch_size_max,
            batch_wait_ms_max=settings.batch_wait_ms_max,
            request_bytes_max=settings.request_bytes_max,
            request_id_window=settings.request_id_window,
            window_keys_max=settings.window_keys_max,
        ),
        memory_bytes_max=settings.worker_memory_bytes_max,
        model_names=model_names,
        plugins=tuple(each for each in await plugins_here(settings) if each.kind != "trainer"),
        kinds=kinds_here(),
    )
    return InferenceWorker(
        config,
        build_registry(settings, f"worker/{worker}"),
        model_loader(settings),
        ensure_model_topics=model_topics_creator(settings),
        ensure_windows_topic=model_topics_creator(settings, windows=True),
    )
