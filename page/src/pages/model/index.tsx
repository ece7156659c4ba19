/** One model: who answers and how well, how it came to that, and what may be done now. */
import { useMemo } from "preact/hooks";
import { LinesChart, type Line, type Mark } from "../../charts/lines";
import type { Action } from "../../frame/actions";
import { Barred, Buttons, useActions } from "../../frame/actionbar";
import { Shown, useAsked } from "../../frame/asked";
import { bytes, clock, count, ms, percent, rate, short, weight } from "../../frame/format";
import { Ago, Badge, Empty, Figure, PageHead, Panel, Table, Wide } from "../../frame/parts";
import { modelActions, publishAction, rolloutActions, trainAction, versionActions } from "../../frame/steps";
import { now as clockNow } from "../../frame/time";
import type { Entry, LegalSteps, Model, RolloutList, RolloutNow, Serving, Version, VersionList } from "../../store/api";
import { modelPath } from "../../store/asking";
import { events, health, series, summaries } from "../../store/now";
import { asOf, goTo, link, type Route } from "../../store/route";
import { Compare } from "./compare";
import { Training } from "./training";

const VERSIONS_SHOWN = 20;
const CHART_MS = 300_000;
const CHART_MS_MIN = 60_000;

export function ModelPage({ route }: { route: Route }) {
  const name = route.parts[1];
  return name ? <OfModel key={name} name={name} /> : <p class="note">Which model?</p>;
}

function OfModel({ name }: { name: string }) {
  const at = modelPath(name);
  const sequence = summaries.value.get(name)?.sequence;
  const model = useAsked<Model>(at, sequence, true);
  const rollout = useAsked<RolloutNow>(`${at}/rollout`, sequence, true);
  const steps = useAsked<LegalSteps>(`${at}/steps`, sequence, true);
  const own = useMemo(() => {
    if (!model.value || !steps.value) return [];
    const [ofModel, ofRollout] = [modelActions(model.value, steps.value, rollout.value), rollout.value ? rolloutActions(name, rollout.value) : []];
    const isLast = (action: Action): boolean => action.name === "switch";
    const first = ofModel.filter((action) => action.name === "rollback");
    return [...first, ...ofRollout, ...ofModel.filter((action) => !first.includes(action) && !isLast(action)), trainAction(name, steps.value.sequence), publishAction(name), ...ofModel.filter(isLast)];
  }, [model.value, steps.value, rollout.value]);
  useActions(own);
  const moment = asOf.value === null ? "" : `?as_of_offset=${asOf.value}`;
  return (
    <>
      <PageHead title={name} json={`${at}${moment}`} cli={asOf.value === null ? `hotswap-stream versions ${name}` : `hotswap-stream audit show ${name} --as-of ${asOf.value}`}>
        <span class="actions" data-sequence={steps.value?.sequence}>
          <Buttons actions={own} />
        </span>
        <Barred />
      </PageHead>
      <Shown asked={model} name={`the model ${name}`}>
        {(value) => (
          <>
            {value.disabled && (
              <p class="note warn">
                <strong>Switched off:</strong> {value.disabled_reason ?? "no reason was given"}. Every request gets an error answer.
              </p>
            )}
            <Shown asked={rollout} name="who answers">{(now) => <Arms model={value} rollout={now} />}</Shown>
            {asOf.value === null && <Charts name={name} model={value} rollout={rollout.value} />}
            {rollout.value?.rollout && <Going name={name} now={rollout.value} />}
            <Versions name={name} model={value} steps={steps.value} rollout={rollout.value} />
            <Compare name={name} versions={value.versions} active={value.active_version ?? null} sequence={value.sequence} />
            <div class="two">
              <Production name={name} sequence={value.sequence} />
              <Circuits name={name} sequence={value.sequence} />
            </div>
            {asOf.value === null && <Training name={name} sequence={value.sequence} />}
          </>
        )}
      </Shown>
    </>
  );
}

/** A card for each version that answers, computes beside, or waits to. */
function Arms({ model, rollout }: { model: Model; rollout: RolloutNow }) {
  const split = rollout.traffic;
  const shadows = split.shadows;
  const arms = split.arms.filter((arm) => !shadows.includes(arm.model_version));
  if (!arms.length) {
    return (
      <Panel>
        <Empty run={`hotswap-stream promote ${model.model_name} VERSION`}>No version of this model is in production, so requests to it get an error. Promote one below, or:</Empty>
      </Panel>
    );
  }
  return (
    <ul class="arms-cards">
      {arms.map((arm) => (
        <Arm key={arm.model_version} model={model} version={arm.model_version} share={weight(arm.weight)} role={arm.model_version === model.active_version ? "in production" : "candidate"} />
      ))}
      {shadows.map((version) => (
        <Arm key={version} model={model} version={version} share={`${weight(split.shadow_share)} of requests`} role="shadow" />
      ))}
    </ul>
  );
}

function Arm({ model, version, share, role }: { model: Model; version: string; share: string; role: string }) {
  const live = asOf.value === null;
  const found = health.value.get(model.model_name)?.versions.find((one) => one.model_version === version)?.answers;
  // Of nothing there is no latency.
  const answers = found?.requests ? found : undefined;
  const known: Version | undefined = model.versions.find((one) => one.model_version === version);
  const figures = known?.validation?.figures ?? known?.metrics ?? {};
  const errors = answers?.error_rate ?? null;
  return (
    <li class="panel arm">
      <div class="head">
        <strong>{version}</strong>
        <span class="share">{share}</span>
        <span class="soft">{role}</span>
      </div>
      <dl class="figures">
        {live && (
          <>
            <Figure label="answers" value={rate(answers?.requests_per_second ?? (role === "shadow" ? null : 0))} />
            <Figure label="p50" value={ms(answers?.p50_ms)} />
            <Figure label="p95" value={ms(answers?.p95_ms)} />
            <Figure label="errors" value={percent(errors, 2)} {...((errors ?? 0) > 0.01 && { tone: "bad" as const })} />
          </>
        )}
        {figures["accuracy"] !== undefined && <Figure label="accuracy" value={percent(figures["accuracy"])} />}
        {figures["agreement"] !== undefined && <Figure label="agreement" value={percent(figures["agreement"])} />}
      </dl>
      <p class="soft small">
        {role === "in production" && model.active_offset !== null && model.active_offset !== undefined && (
          <>
            since offset{" "}
            <button class="plain" onClick={() => goTo(model.active_offset ?? null)}>
              {model.active_offset}
            </button>{" "}
            ·{" "}
          </>
        )}
        {known ? (
          <>
            <code title={known.artifact.digest}>{short(known.artifact.digest)}</code> · {bytes(known.artifact.size_bytes)}
          </>
        ) : (
          "older than the versions shown"
        )}
      </p>
    </li>
  );
}

function Charts({ name, model, rollout }: { name: string; model: Model; rollout: RolloutNow | null }) {
  const to = Math.max(clockNow.value, ...[...series.value].filter(([key]) => key.startsWith(`${name}/`)).map(([, points]) => points.at(-1)?.at ?? 0));
  const drawn = [...series.value].filter(([key, points]) => key.startsWith(`${name}/`) && (points.at(-1)?.at ?? 0) > to - CHART_MS);
  // The page knows what came since it was opened: the axis grows with it, up to five minutes.
  const from = Math.max(to - CHART_MS, Math.min(to - CHART_MS_MIN, ...drawn.map(([, points]) => points[0]?.at ?? to)));
  // What is tried is looked at first; else what is in production.
  const tried = rollout?.rollout?.candidates ?? [];
  const look = (version: string): Line["look"] => (tried.includes(version) ? "first" : version !== model.active_version ? "former" : tried.length ? "other" : "first");
  const lines = (of: (point: (typeof drawn)[number][1][number]) => number | null): Line[] =>
    drawn.map(([key, points]) => {
      const version = key.slice(name.length + 1);
      return { name: version, look: look(version), points: points.filter((point) => point.at >= from).map((point) => ({ at: point.at, value: of(point) })) };
    });
  const marks: Mark[] = events.value
    .filter((entry) => entry.event?.subject === name && !entry.void_because && SWITCHES.test(String(entry.event?.type)))
    .map((entry) => ({ at: Date.parse(entry.appended_at), text: String((entry.event?.data as { model_version?: string } | undefined)?.model_version ?? "switch") }));
  const asked = useAsked<RolloutList>(`${modelPath(name)}/rollouts`, model.sequence);
  const stretches = (asked.value?.rollouts ?? [])
    .map((one) => ({ from: Date.parse(one.started_at), to: one.ended_at ? Date.parse(one.ended_at) : null, text: `${one.rollout_id} of ${one.candidates.join(", ")}` }))
    .filter((one) => (one.to ?? to) > from);
  const common = { marks, stretches, from, to };
  return (
    <div class="two">
      <Panel title="Answers per second" extra={<Legend versions={lines(() => 0)} />}>
        <Wide>{(width) => <LinesChart title={`Answers per second of ${name}`} unit="/s" lines={lines((point) => point.rate)} width={width} {...common} />}</Wide>
      </Panel>
      <Panel title="p95 latency, ms" extra={<Legend versions={lines(() => 0)} />}>
        <Wide>{(width) => <LinesChart title={`p95 latency of ${name}`} unit="ms" lines={lines((point) => point.p95)} width={width} {...common} />}</Wide>
      </Panel>
    </div>
  );
}

const SWITCHES = /^hotswap\.model\.(promoted|rolled-back|set-back)\./;

function Legend({ versions }: { versions: readonly Line[] }) {
  return (
    <span class="legend">
      {versions.map((one) => (
        <span key={one.name}>
          <i class={one.look} />
          {one.name}
        </span>
      ))}
    </span>
  );
}

function Going({ name, now }: { name: string; now: RolloutNow }) {
  const rollout = now.rollout;
  if (!rollout) return null;
  return (
    <Panel
      title={
        <>
          Rollout {rollout.rollout_id}: {rollout.candidates.join(", ")} against {rollout.baseline_version}
        </>
      }
      extra={<a href={link(["rollout", name])}>Steps and evidence</a>}
    >
      <p>
        <Badge tone={rollout.status === "paused" ? "warn" : "move"}>{rollout.status}</Badge> {now.on_success && <span class="soft">{now.on_success}</span>}
      </p>
    </Panel>
  );
}

function Versions({ name, model, steps, rollout }: { name: string; model: Model; steps: LegalSteps | null; rollout: RolloutNow | null }) {
  const asked = useAsked<VersionList>(`${modelPath(name)}/versions?limit=${VERSIONS_SHOWN}`, model.sequence, true);
  return (
    <Panel title="Versions" extra={<span class="soft small">{count(model.versions_total)} in all, the newest first</span>}>
      <Shown asked={asked} name="the versions">
        {(list) =>
          list.versions.length === 0 ? (
            <Empty run={`hotswap-stream train ${name}`}>No version yet:</Empty>
          ) : (
            <Table label="Versions" heads={["version", "stage", "verdict", "#accuracy", "registered", "by", "artifact", "-what may be done"]}>
              {list.versions.map((version) => (
                <tr key={version.model_version} data-row tabIndex={-1}>
                  <td class="w">
                    <strong>{version.model_version}</strong>
                  </td>
                  <td>
                    <Stage stage={version.stage} />
                    <InRollout version={version.model_version} now={rollout} />
                  </td>
                  <td>
                    <Verdict verdict={version.verdict ?? null} />
                  </td>
                  <td class="n">{percent(version.metrics?.["accuracy"])}</td>
                  <td class="w">
                    <Ago at={version.registered_at} />
                  </td>
                  <td class="w">{version.provenance?.created_by ?? "–"}</td>
                  <td class="w">
                    <code title={version.artifact.digest}>{short(version.artifact.digest)}</code>
                  </td>
                  <td>
                    <div class="actions end">{steps && <Buttons small actions={versionActions(model, version.model_version, steps, rollout)} />}</div>
                  </td>
                </tr>
              ))}
            </Table>
          )
        }
      </Shown>
    </Panel>
  );
}

function Stage({ stage }: { stage: Version["stage"] }) {
  if (stage === "production") return <Badge tone="good">production</Badge>;
  return <span class={stage === "archived" ? "soft" : ""}>{stage === "none" ? "registered" : stage}</span>;
}

/** Its part of the traffic, while a rollout decides on it. */
function InRollout({ version, now }: { version: string; now: RolloutNow | null }) {
  if (!now?.rollout?.candidates.includes(version)) return null;
  const arm = now.traffic.arms.find((one) => one.model_version === version);
  const text = now.traffic.shadows.includes(version) ? "shadow" : arm ? `candidate ${weight(arm.weight)}` : "candidate";
  return (
    <>
      {" "}
      <Badge tone="move">{text}</Badge>
    </>
  );
}

function Verdict({ verdict }: { verdict: Version["verdict"] | null }) {
  if (verdict === "passed") return <Badge tone="good">passed</Badge>;
  if (verdict === "failed") return <Badge tone="bad">failed</Badge>;
  if (verdict === "inconclusive") return <Badge tone="warn">inconclusive</Badge>;
  return <span class="soft">not yet</span>;
}

/** Who answered when: the events that put a version into production, the newest first. */
function Production({ name, sequence }: { name: string; sequence: number }) {
  const query = (type: string): string => `/api/events?before_offset=${asOf.value === null ? Number.MAX_SAFE_INTEGER : asOf.value + 1}&limit=10&type=${type}&model_name=${encodeURIComponent(name)}`;
  const kinds = ["promoted", "rolled-back", "set-back"].map((type) => useAsked<{ events: Entry[] }>(query(type), sequence));
  const all = kinds.flatMap((kind) => kind.value?.events ?? []).filter((entry) => !entry.void_because);
  const shown = all.sort((one, other) => other.offset - one.offset).slice(0, 10);
  return (
    <Panel title="In production, one after the other">
      {shown.length === 0 ? (
        <p class="soft">{kinds.every((kind) => kind.value) ? "Nothing was in production yet." : "…"}</p>
      ) : (
        <ol class="history">
          {shown.map((entry, index) => (
            <li key={entry.offset}>
              <button class="plain" title="View the system here" onClick={() => goTo(entry.offset)}>
                {entry.offset}
              </button>
              <strong>{String((entry.event?.data as { model_version?: string } | undefined)?.model_version ?? "")}</strong>
              <span>
                {entry.described} <span class="soft">by {String(entry.event?.actor)}</span>
                {entry.event?.reason ? <span class="soft">: {String(entry.event.reason)}</span> : null}
                <br />
                <span class="soft small">
                  {clock(entry.appended_at)}
                  {index === 0 && " until now"}
                </span>
              </span>
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}

function Circuits({ name, sequence }: { name: string; sequence: number }) {
  const asked = useAsked<Serving>(`${modelPath(name)}/serving`, sequence, true);
  return (
    <Panel title="Circuits">
      <Shown asked={asked} name="the circuits">
        {(serving) => (
          <>
            {serving.circuits.length === 0 && <p class="soft">No circuit has moved.</p>}
            {serving.circuits.map((circuit) => (
              <p key={circuit.model_version}>
                <strong>{circuit.model_version}</strong>{" "}
                <Badge tone={circuit.position === "open" ? "bad" : circuit.position === "half-open" ? "warn" : "good"}>{circuit.position}</Badge>{" "}
                {circuit.opened_cause && circuit.position !== "closed" && <span class="soft">by {circuit.opened_cause}</span>}
              </p>
            ))}
            <p class="soft small">
              {serving.refused_because
                ? `Requests are refused: ${serving.refused_because}.`
                : `${serving.answered_by} answers${serving.fallback_for ? `, in place of ${serving.fallback_for}` : ""}${serving.fallback_version ? `; ${serving.fallback_version} would stand in` : "; nothing would stand in"}.`}
            </p>
          </>
        )}
      </Shown>
    </Panel>
  );
}
