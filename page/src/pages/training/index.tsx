/** Training runs of all models: those that go on first, how far they are, and why they are there. */
import { useSignal } from "@preact/signals";
import { ask, type Action } from "../../frame/actions";
import { Shown, useAsked } from "../../frame/asked";
import { span, trimmed } from "../../frame/format";
import { Ago, Badge, Empty, PageHead, Panel, Table } from "../../frame/parts";
import { trainAction } from "../../frame/steps";
import type { TrainingRun, TrainingRuns } from "../../store/api";
import { modelPath } from "../../store/asking";
import { head, summaries, training } from "../../store/now";
import { asOf, link, type Route } from "../../store/route";
import { mayOperate } from "../../store/session";
import { AllTriggers, DatasetsOf, TriggersOf } from "./triggers";
import { TONES, causeOf, isOpen, share, wordsOf, type Progress } from "./runs";

export function Training({ route }: { route: Route }) {
  const model = route.parts[1];
  const path = model ? `${modelPath(model)}/training-runs` : "/api/training-runs";
  const asked = useAsked<TrainingRuns>(path, head.value);
  return (
    <>
      <PageHead title={model ? `Training of ${model}` : "Training"} json={path} cli={`hotswap-stream runs list${model ? ` ${model}` : ""}`}>
        {model && <a href={link(["training"])}>All models</a>}
        <Train only={model} />
      </PageHead>
      <Shown asked={asked} name="the training runs">
        {({ runs, total }) => (
          <Panel title={total === 1 ? "1 run" : `${total} runs`}>
            {runs.length === 0 && <Empty run={`hotswap-stream train ${model ?? "digits"}`}>Nothing was trained yet. This trains a model on data that comes along:</Empty>}
            {runs.length > 0 && <Runs runs={[...runs].sort(byTime)} />}
          </Panel>
        )}
      </Shown>
      {model ? (
        <>
          <TriggersOf model={model} />
          <DatasetsOf model={model} />
        </>
      ) : (
        <AllTriggers />
      )}
    </>
  );
}

function byTime(one: TrainingRun, other: TrainingRun): number {
  const open = Number(isOpen(other)) - Number(isOpen(one));
  return open || timeOf(other).localeCompare(timeOf(one));
}

function timeOf(run: TrainingRun): string {
  return run.ended_at ?? run.started_at ?? run.claimed_at ?? run.requested_at ?? "";
}

/** Train a version of a model that is there; which one is chosen beside the button. */
function Train({ only }: { only: string | undefined }) {
  const chosen = useSignal("");
  const names = only ? [only] : [...summaries.value.keys()].sort();
  const name = chosen.value || names[0];
  if (!name || asOf.value !== null || !mayOperate.value) return null;
  return (
    <>
      {!only && (
        <select aria-label="Model to train" value={name} onChange={(event) => (chosen.value = event.currentTarget.value)}>
          {names.map((one) => (
            <option key={one} value={one}>
              {one}
            </option>
          ))}
        </select>
      )}
      <button type="button" class="first" onClick={() => ask(trainAction(name, summaries.value.get(name)?.sequence ?? 0))}>
        Train
      </button>
    </>
  );
}

function Runs({ runs }: { runs: readonly TrainingRun[] }) {
  return (
    <Table label="Training runs" heads={["run", "model", "state", "how far, and what came of it", "why", "when", "-change"]}>
      {runs.map((run) => (
        <tr key={`${run.model_name} ${run.run_id}`}>
          <td>
            <code class="words">{run.run_id}</code> {run.trainer && <span class="soft small">{run.trainer}</span>}
          </td>
          <td class="w">
            <a data-row href={link(["training", run.model_name])}>
              {run.model_name}
            </a>
          </td>
          <td>
            <Badge tone={TONES[run.status]}>{run.status}</Badge>
          </td>
          <td>
            <Outcome run={run} />
          </td>
          <td>
            <span class="words">{causeOf(run)}</span>
            {run.reason && <span class="soft"> {run.reason}</span>}
          </td>
          <td class="w">
            <Times run={run} />
          </td>
          <td>
            <Change run={run} />
          </td>
        </tr>
      ))}
    </Table>
  );
}

function Outcome({ run }: { run: TrainingRun }) {
  const progress = training.value.get(run.run_id) as Progress | undefined;
  if (isOpen(run)) {
    const done = progress ? share(progress) : null;
    return (
      <>
        {done !== null && <progress max={1} value={done} aria-label={`Progress of ${run.run_id}`} />}
        <span class="words">{progress ? wordsOf(progress) : run.status === "requested" ? "waits for a runner" : `with ${run.runner ?? "a runner"}`}</span>
      </>
    );
  }
  const figures = Object.entries(run.metrics ?? {}).slice(0, 3);
  return (
    <span class="words">
      {run.model_version && <a href={link(["models", run.model_name])}>{run.model_version}</a>} {run.verdict ?? ""}{" "}
      {figures.map(([name, value]) => `${name} ${trimmed(Number(value), 4)}`).join(", ")} {run.status === "failed" && <span class="bad">{run.detail}</span>}
      {run.status === "cancelled" && <span class="soft">by {run.ended_by ?? "somebody"}</span>}
    </span>
  );
}

function Times({ run }: { run: TrainingRun }) {
  if (run.ended_at) {
    const began = run.started_at ?? run.claimed_at ?? run.requested_at;
    return (
      <>
        <Ago at={run.ended_at} />
        {began && <span class="soft small"> took {span((Date.parse(run.ended_at) - Date.parse(began)) / 1000)}</span>}
      </>
    );
  }
  return <Ago at={run.started_at ?? run.claimed_at ?? run.requested_at} />;
}

function Change({ run }: { run: TrainingRun }) {
  if (!isOpen(run) || !mayOperate.value || asOf.value !== null) return null;
  return (
    <button type="button" onClick={() => ask(cancelAction(run))}>
      Cancel
    </button>
  );
}

function cancelAction(run: TrainingRun): Action {
  return {
    model: run.model_name,
    sequence: summaries.value.get(run.model_name)?.sequence ?? 0,
    name: `cancel ${run.run_id}`,
    verb: "Cancel the run",
    title: `Cancel ${run.run_id} of ${run.model_name}`,
    facts: [
      ["state", run.status],
      ["then", "it is over for good; what its runner still makes of it is thrown away"],
    ],
    path: `${modelPath(run.model_name)}/training-runs/${encodeURIComponent(run.run_id)}/cancel`,
    cli: () => `hotswap-stream runs cancel ${run.model_name} ${run.run_id}`,
    danger: true,
  };
}
