/** What makes models train by itself, why it did or did not, and what they are trained on. */
import { Buttons } from "../../frame/actionbar";
import { Shown, useAsked } from "../../frame/asked";
import { bytes, count, trimmed } from "../../frame/format";
import { Ago, Badge, Empty, Panel, Table } from "../../frame/parts";
import type { DatasetList, ModelTriggers, TriggerList, TriggerRecord } from "../../store/api";
import { modelPath } from "../../store/asking";
import { head } from "../../store/now";
import { link } from "../../store/route";
import { partsOf, triggerActions } from "./policy";

/** Of all models that have a policy. */
export function AllTriggers() {
  const asked = useAsked<TriggerList>("/api/triggers", head.value);
  return (
    <Shown asked={asked} name="the triggers">
      {({ models }) => (
        <Panel title="Triggers">
          {models.length === 0 && <Empty run="hotswap-stream triggers set digits --trainer image-classifier --cron '0 3 * * *'">No model trains by itself. A training policy says when one does:</Empty>}
          {models.length > 0 && (
            <Table label="Triggers" heads={["model", "trains with", "when", "last", "why it did or did not"]}>
              {models.map((one) => (
                <tr key={one.model_name}>
                  <td class="w">
                    <a data-row href={link(["training", one.model_name])}>
                      {one.model_name}
                    </a>
                  </td>
                  <td class="w">{one.trainer ?? "–"}</td>
                  <td>{one.triggers.join(", ") || "by hand alone"}</td>
                  <td class="w">{one.last ? <Fired record={one.last} /> : <span class="soft">never</span>}</td>
                  <td>{one.last && <Why record={one.last} />}</td>
                </tr>
              ))}
            </Table>
          )}
        </Panel>
      )}
    </Shown>
  );
}

/** Of one model: each time that a trigger fired, or would have and was held back. */
export function TriggersOf({ model }: { model: string }) {
  const asked = useAsked<ModelTriggers>(`${modelPath(model)}/triggers`, head.value);
  return (
    <Shown asked={asked} name={`the triggers of ${model}`}>
      {(known) => (
        <Panel
          title={`Triggers of ${model}`}
          extra={
            <span class="actions">
              <Buttons actions={triggerActions(known)} />
            </span>
          }
        >
          <p class="soft">{known.policy ? partsOf(known.policy) : "No training policy: only people start runs."}</p>
          {known.history?.length ? (
            <Table label={`Triggers of ${model}`} heads={["when", "trigger", "what came of it", "why", "run"]}>
              {known.history.map((record) => (
                <tr key={record.sequence}>
                  <td class="w">
                    <Ago at={record.at} />
                  </td>
                  <td class="w">{record.trigger}</td>
                  <td class="w">
                    <Fired record={record} />
                  </td>
                  <td>
                    <Why record={record} />
                  </td>
                  <td>
                    <span class="words">{record.run_id ?? "–"}</span> <span class="soft">{record.run_status}</span>
                  </td>
                </tr>
              ))}
            </Table>
          ) : (
            <Empty>None has fired yet.</Empty>
          )}
        </Panel>
      )}
    </Shown>
  );
}

function Fired({ record }: { record: TriggerRecord }) {
  return record.status === "fired" ? <Badge tone="move">fired</Badge> : <Badge tone="warn">held back</Badge>;
}

function Why({ record }: { record: TriggerRecord }) {
  const figures = Object.entries(record.figures ?? {}).map(([name, value]) => `${name} ${trimmed(Number(value), 4)}`);
  const words = [record.cause, record.detail, ...figures, record.reason].filter(Boolean);
  return <span class="words">{words.join(", ") || "–"}</span>;
}

export function DatasetsOf({ model }: { model: string }) {
  const asked = useAsked<DatasetList>(`${modelPath(model)}/datasets`, head.value);
  return (
    <Shown asked={asked} name={`the datasets of ${model}`}>
      {({ datasets }) => (
        <Panel title={datasets.length === 1 ? "1 dataset" : `${datasets.length} datasets`}>
          {datasets.length === 0 && <Empty run={`hotswap-stream dataset build ${model}`}>None was built yet. This makes one of what was asked and what came back as true:</Empty>}
          {datasets.length > 0 && (
            <Table label={`Datasets of ${model}`} heads={["name", "digest", "#rows", "#of requests", "#size", "built"]}>
              {datasets.map((one) => (
                <tr key={one.artifact_digest}>
                  <td>{one.names.join(", ") || "–"}</td>
                  <td class="w">
                    <code title={one.artifact_digest}>{one.artifact_digest.slice(0, 19)}</code>
                  </td>
                  <td class="n">{count(one.rows)}</td>
                  <td class="n">{count(one.counts.requests)}</td>
                  <td class="n">{bytes(one.size_bytes)}</td>
                  <td class="w">
                    <Ago at={one.built_at} /> by {one.built_by}
                  </td>
                </tr>
              ))}
            </Table>
          )}
        </Panel>
      )}
    </Shown>
  );
}
