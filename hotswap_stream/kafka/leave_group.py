"""Leaving a consumer group as a static member.

Kafka's clients do not leave for a member with a `group.instance.id`: its partitions would rest until its session ends.
The protocol allows it since version 3 of LeaveGroup (KIP-345), so we send that ourselves.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.admin import DescribeGroupsRequest, ListGroupsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String

_log = structlog.get_logger(__name__)

AGAIN_SECONDS = 0.25


class _LeaveGroupResponse(Response):  # type: ignore[misc]  # aiokafka is not typed
    API_KEY = 13
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "members",
            Array(("member_id", String("utf-8")), ("group_instance_id", String("utf-8")), ("error_code", Int16)),
        ),
    )


class _LeaveGroupStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 13
    API_VERSION = 3
    RESPONSE_TYPE = _LeaveGroupResponse
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("members", Array(("member_id", String("utf-8")), ("group_instance_id", String("utf-8")))),
    )


class _LeaveGroup(Request[_LeaveGroupStruct]):  # type: ignore[misc]
    API_KEY = 13

    def __init__(self, group: str, instance: str, member_id: str) -> None:
        self._group = group
        self._instance = instance
        self._member_id = member_id

    def build(self, request_struct_class: type[_LeaveGroupStruct]) -> _LeaveGroupStruct:
        return request_struct_class(self._group, [(self._member_id, self._instance)])


async def leave_group(client_options: Mapping[str, Any], group: str, instance: str) -> None:
    """Tell the coordinator that the member `instance` is gone. Best effort: failing that, its session ends.

    A coordinator that is away is waited for while other brokers are there, since another one takes its place: give this
    a limit of time.
    """
    # An empty member id: whoever is the member of that name
    try:
        while not await _leave(client_options, group, instance, lambda _client, _node: _nobody()):
            await asyncio.sleep(AGAIN_SECONDS)
    except KafkaError as error:
        _log.warning("group_not_left", group=group, instance=instance, error=repr(error))


async def put_out_of_group(client_options: Mapping[str, Any], group: str, instance: str) -> bool:
    """Tell the coordinator that the member that is `instance` now is gone.

    One that was started again by that name meanwhile stays: it is another member. Members are told apart by the client
    id, which must be that of the instance.

    Returns:
        Whether a coordinator answered that knows the group. One that is away does not, and another takes its place in a
        while.
    """

    async def member_of(client: AIOKafkaClient, node: int) -> str | None:
        response = await client.send(node, DescribeGroupsRequest([group]), group=ConnectionGroup.COORDINATION)
        for code in (described[0] for described in response.groups if described[0]):
            raise for_code(code)(f"group {group}")
        members = [member for described in response.groups for member in described[5] if member[1] == instance]
        return str(members[0][0]) if len(members) == 1 else None

    try:
        return await _leave(client_options, group, instance, member_of)
    except KafkaError as error:
        _log.warning("group_not_left", group=group, instance=instance, error=repr(error))
        return False


async def leave_where_others_are(client_options: Mapping[str, Any], prefix: str, instance: str) -> list[str]:
    """Make what was the member `instance` leave the groups that have other members, too, and return those groups.

    It is for a process that was started again by the name of one that died: what that one had is given to others at
    once, and not when this one can join. Where nobody else is, it stays a member: there is nobody to take its place,
    and a group that is empty for a moment waits for more members before it begins again. Best effort, as `leave_group`.

    Args:
        client_options: Of the cluster.
        prefix: How the names of the groups begin.
        instance: Its `group.instance.id`, which must be its client id, too.
    """
    left = []
    client = AIOKafkaClient(**client_options)
    try:
        await client.bootstrap()
        for broker in client.cluster.brokers():
            try:
                left += await _leave_at(client, broker.nodeId, prefix, instance)
            except KafkaError as error:  # it is away itself, and the others may be there
                _log.warning("group_not_left", group=f"{prefix}*", instance=instance, error=repr(error))
    except KafkaError as error:
        _log.warning("group_not_left", group=f"{prefix}*", instance=instance, error=repr(error))
    finally:
        await client.close()
    return left


async def _leave_at(client: AIOKafkaClient, node: int, prefix: str, instance: str) -> list[str]:
    """Do that in the groups that one broker coordinates: it tells of no others. KafkaError."""
    left = []
    listed = await client.send(node, ListGroupsRequest(), group=ConnectionGroup.COORDINATION)
    for group in [str(group) for group, *_ in listed.groups if group.startswith(prefix)]:
        # One at a time: aiokafka reads an answer about several by a form that ends too soon
        told = await client.send(node, DescribeGroupsRequest([group]), group=ConnectionGroup.COORDINATION)
        members = [(member, client_id) for each in told.groups for member, client_id, *_ in each[5]]
        own = [str(member) for member, client_id in members if client_id == instance]
        if len(own) != 1 or len(members) == 1:
            continue
        response = await client.send(node, _LeaveGroup(group, instance, own[0]), group=ConnectionGroup.COORDINATION)
        if not any([response.error_code, *(code for _, _, code in response.members)]):
            left.append(group)
    return left


async def _nobody() -> str:
    return ""


async def _leave(
    client_options: Mapping[str, Any],
    group: str,
    instance: str,
    member_of: Callable[[AIOKafkaClient, int], Awaitable[str | None]],
) -> bool:
    """Return whether a coordinator answered that knows the group. KafkaError where no broker can be reached."""
    client = AIOKafkaClient(**client_options)
    try:
        await client.bootstrap()
        try:
            node = await client.coordinator_lookup(CoordinationType.GROUP, group)
            member_id = await member_of(client, node)
            if member_id is None:
                return True
            leaving = _LeaveGroup(group, instance, member_id)
            response = await client.send(node, leaving, group=ConnectionGroup.COORDINATION)
            if response.error_code:
                raise for_code(response.error_code)(f"group {group}")
        except KafkaError as error:
            _log.info("group_not_left_yet", group=group, instance=instance, error=repr(error))
            return not error.retriable
        errors = [for_code(code).__name__ for _, _, code in response.members if code]
        if errors:
            _log.info("group_not_left", group=group, instance=instance, errors=errors)
        return True
    finally:
        await client.close()
