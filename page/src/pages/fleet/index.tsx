/** Which worker holds which version of which model, how far each has read the log, and what troubles it. */
import { Broken, Loading, useAsked } from "../../frame/asked";
import { count } from "../../frame/format";
import { Ago, Badge, Copied, Empty, PageHead, Panel, Table, type Tone } from "../../frame/parts";
import type { Fleet, FleetVersion, FleetWorker } from "../../store/api";
import { modelPath } from "../../store/asking";
import { head, lines, summaries } from "../../store/now";

const STATES: Record<FleetVersion["state"], readonly [Tone, string]> = {
  serving: ["good", "serving"],
  loaded: ["plain", "loaded"],
  loading: ["move", "loading"],
  failed: ["bad", "failed"],
};

export function FleetPage() {
  const names = [...summaries.value.keys()].sort();
  return (
    <>
      <PageHead title="Fleet" json="/api/models/MODEL/fleet" cli="hotswap-stream fleet" />
      {names.length === 0 && (
        <Panel>
          <Empty run="hotswap-stream train digits">There is no model that a worker could hold. This makes one:</Empty>
        </Panel>
      )}
      {names.map((name) => (
        <ModelFleet key={name} name={name} />
      ))}
    </>
  );
}

/** Asked again when the log or the count of workers says that something changed, and by hand. */
function ModelFleet({ name }: { name: string }) {
  const line = lines.value.get(name);
  const after = `${summaries.value.get(name)?.sequence ?? 0} ${line?.live_workers ?? ""} ${line?.silent_workers ?? ""}`;
  const asked = useAsked<Fleet>(`${modelPath(name)}/fleet`, after);
  return (
    <Panel
      title={name}
      extra={
        <span class="elsewhere">
          {asked.value && <Whole fleet={asked.value} />}
          <button type="button" class="plain" onClick={asked.again}>
            Ask again
          </button>
        </span>
      }
    >
      {asked.refused && <Broken refused={asked.refused} again={asked.again} />}
      {!asked.value && !asked.refused && <Loading name={`the workers of ${name}`} />}
      {asked.value && asked.value.workers.length === 0 && <Empty run={`hotswap-stream worker --model ${name}`}>No worker has said anything of {name}. This starts one:</Empty>}
      {asked.value && asked.value.workers.length > 0 && <Workers fleet={asked.value} />}
    </Panel>
  );
}

function Whole({ fleet }: { fleet: Fleet }) {
  if (!fleet.active_version) return <Badge tone="plain">nothing in production</Badge>;
  if (fleet.live_workers === 0) return <Badge tone="bad">no live worker</Badge>;
  if (fleet.whole_fleet_serves_active) {
    return (
      <Badge tone="good">
        all {fleet.live_workers} serve {fleet.active_version}
      </Badge>
    );
  }
  return (
    <Badge tone="warn">
      {fleet.serving_active_workers} of {fleet.live_workers} serve {fleet.active_version}
    </Badge>
  );
}

function Workers({ fleet }: { fleet: Fleet }) {
  const versions = [...new Set(fleet.workers.flatMap((worker) => Object.keys(worker.versions)))].sort((one, other) => other.localeCompare(one, "en", { numeric: true }));
  return (
    <Table label={`Workers of ${fleet.model_name}`} heads={["worker", "state", ...versions, "partitions", "#waiting", "#behind by", "last heard"]} class="fleet">
      {fleet.workers.map((worker) => (
        <tr key={worker.worker}>
          <td>
            <span class="w" data-row tabIndex={-1}>
              {worker.worker}
            </span>
            <Trouble worker={worker} />
          </td>
          <td>{worker.live ? <Badge tone={worker.trouble ? "warn" : "good"}>{worker.trouble ? "troubled" : "live"}</Badge> : <Badge tone="bad">silent</Badge>}</td>
          {versions.map((version) => (
            <td key={version} class="w">
              <Held version={worker.versions[version]} />
            </td>
          ))}
          <td>
            <Partitions worker={worker} />
          </td>
          <td class="n">{count(worker.waiting)}</td>
          <td class="n">
            <Behind offset={worker.registry_offset} />
          </td>
          <td class="w">
            <Ago at={worker.seen_at} />
          </td>
        </tr>
      ))}
    </Table>
  );
}

function Held({ version }: { version: FleetVersion | undefined }) {
  if (!version) return <span class="soft">–</span>;
  const [tone, word] = STATES[version.state];
  return (
    <>
      <Badge tone={tone}>{word}</Badge>
      {version.error && <span class="why bad small">{version.error}</span>}
    </>
  );
}

function Trouble({ worker }: { worker: FleetWorker }) {
  if (!worker.trouble && !worker.advice) return null;
  return (
    <span class="why small">
      {worker.trouble} {worker.advice && <Copied text={worker.advice} />}
    </span>
  );
}

function Partitions({ worker }: { worker: FleetWorker }) {
  const stalled = new Set(worker.stalled_partitions);
  const unserved = new Set(worker.unserved_partitions);
  if (worker.partitions.length === 0) return <span class="soft">none</span>;
  return (
    <span>
      {worker.partitions.join(", ")}
      {stalled.size > 0 && <span class="bad small"> stalled: {[...stalled].join(", ")}</span>}
      {unserved.size > 0 && <span class="warn small"> not served: {[...unserved].join(", ")}</span>}
    </span>
  );
}

/** Records of the log between the worker's last word and its end; a worker says it each few seconds. */
function Behind({ offset }: { offset: number }) {
  const last = head.value;
  if (last === null) return <>–</>;
  const behind = Math.max(0, last - offset);
  return <>{behind === 0 ? "0" : `${count(behind)} records`}</>;
}
