"""The access rights that each role needs on a cluster with access rules (ACLs), and the commands that give them."""

from collections.abc import Iterable
from typing import Literal, get_args

from msgspec import Struct

from hotswap_events.topics import Topics

Role = Literal["api", "agents", "worker", "trainer", "operator", "administrator", "commander", "producer", "consumer"]
"""`operator`: whoever uses the command line on the cluster. `administrator`: an operator who also grows and repairs
topics and restores the registry; its rights come beside the operator's. `commander` sends commands by topic, `producer`
asks models, `consumer` reads their answers."""
ROLES: tuple[Role, ...] = get_args(Role)

Operation = Literal["Read", "Write", "Describe", "Create", "DescribeConfigs", "Alter", "AlterConfigs"]


class Acl(Struct, frozen=True, kw_only=True):
    """What one role may do on one resource."""

    role: Role
    resource: Literal["topic", "group"]
    name: str
    prefixed: bool = False
    """Whether the name is what names begin with."""
    operations: tuple[Operation, ...]

    def command(self, principal: str, bootstrap_servers: str) -> str:
        """Return the line of Kafka's own tool that gives it."""
        where = f"--{self.resource} '{self.name}'"
        pattern = " --resource-pattern-type prefixed" if self.prefixed else ""
        operations = " ".join(f"--operation {operation}" for operation in self.operations)
        return (
            f"kafka-acls.sh --bootstrap-server {bootstrap_servers} --add --allow-principal '{principal}' "
            f"{operations} {where}{pattern}"
        )


def acls(names: Topics, roles: Iterable[Role] = ROLES) -> tuple[Acl, ...]:
    """Return what the roles need in one environment, role by role.

    Args:
        names: The topics of the environment.
        roles: Those that are asked for.
    """
    return tuple(acl for role in roles for acl in _of(names, role))


def _of(names: Topics, role: Role) -> tuple[Acl, ...]:
    prefix = names.prefix
    reads: list[str] = []
    writes: list[str] = []
    groups: list[str] = []
    groups_seen: list[str] = []  # whose progress it looks at, without being a member
    every_model_reads: list[str] = []
    every_model_writes: list[str] = []
    match role:
        case "api":
            reads = [names.registry, names.fleet, names.keys, names.observations, names.feedback, names.comparisons]
            reads.append(names.evidence)
            reads.append(names.training_progress)
            writes = [names.registry, names.feedback, names.keys]
            every_model_reads, every_model_writes = ["requests", "responses", "windows"], ["requests"]
            groups = [names.datasets_group]
        case "agents":
            reads = [names.registry, names.commands, names.observations, names.feedback, names.fleet, names.keys]
            writes = [names.registry, names.command_results, names.registry_state, names.dead_letters, names.evidence]
            every_model_reads, every_model_writes = ["agents", "requests", "responses", "windows"], ["agents"]
            groups, groups_seen = [f"{prefix}-agents", f"{prefix}-webhook-"], [f"{prefix}.workers."]
        case "worker":
            reads = [names.registry, names.fleet]
            writes = [names.registry, names.fleet, names.dead_letters, names.observations, names.comparisons]
            every_model_reads = ["requests", "responses", "windows"]
            every_model_writes = ["responses", "windows", "replies"]
            groups = [f"{prefix}.workers."]
        case "trainer":
            reads = writes = [names.registry, names.training_progress]
        case "operator":
            reads = [names.registry, names.fleet, names.keys, names.observations, names.feedback, names.comparisons]
            reads.append(names.training_progress)
            writes = [names.registry, names.feedback, names.keys]
            every_model_reads = ["requests", "responses", "windows"]
            groups, groups_seen = [names.datasets_group], [f"{prefix}.workers.", f"{prefix}-webhook-"]
        case "administrator":
            return (_of_all_topics(names, role, "Alter", "AlterConfigs", "Describe", "DescribeConfigs"),)
        case "commander":
            reads, writes = [names.command_results], [names.commands]
        case "producer":
            every_model_writes = ["requests"]
        case "consumer":
            every_model_reads = ["responses"]
    found = [Acl(role=role, resource="topic", name=name, operations=("Read", "Describe")) for name in reads]
    found += [Acl(role=role, resource="topic", name=name, operations=("Write", "Describe")) for name in writes]
    for of_models, operation in ((every_model_reads, "Read"), (every_model_writes, "Write")):
        found += [
            Acl(
                role=role,
                resource="topic",
                name=f"{prefix}.{kind}.",
                prefixed=True,
                operations=(operation, "Describe"),  # type: ignore[arg-type]
            )
            for kind in of_models
        ]
    found += [
        Acl(role=role, resource="group", name=group, prefixed=group[-1] in "-.", operations=("Read", "Describe"))
        for group in groups
    ]
    found += [
        Acl(role=role, resource="group", name=group, prefixed=True, operations=("Describe",)) for group in groups_seen
    ]
    if role not in ("commander", "producer", "consumer"):
        # Each process of the service looks at the topics at its start, and makes those that are missing; what the
        # agents saw of the log tells whether it is the right one.
        found.append(
            Acl(
                role=role,
                resource="topic",
                name=f"{prefix}.agents.stream-heads",
                operations=("Read", "Describe"),
            )
        )
        found.append(_of_all_topics(names, role, "Create", "Describe", "DescribeConfigs"))
    return tuple(found)


def _of_all_topics(names: Topics, role: Role, *operations: Operation) -> Acl:
    return Acl(role=role, resource="topic", name=f"{names.prefix}.", prefixed=True, operations=operations)
