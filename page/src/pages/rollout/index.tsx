/** A rollout: its steps, what the evidence says, what it may still spend, and how it was decided. */
import { useMemo } from "preact/hooks";
import { Barred, Buttons, useActions } from "../../frame/actionbar";
import { Shown, useAsked } from "../../frame/asked";
import { clock, count, percent, span } from "../../frame/format";
import { Badge, Empty, Figure, PageHead, Panel, type Tone } from "../../frame/parts";
import { armsText, rolloutActions } from "../../frame/steps";
import { now as clockNow } from "../../frame/time";
import type { Entry, Rollout, RolloutList, RolloutNow, RolloutShown } from "../../store/api";
import { modelPath } from "../../store/asking";
import { evidence, summaries, lines } from "../../store/now";
import { asOf, goTo, link, type Route } from "../../store/route";
import type { Evidence } from "../../stream/messages";
import { fromAnalyses, fromTopic, ordered } from "./evidence";
import { folded } from "./folded";
import { Metric } from "./metric";
import { Steps } from "./steps";

/** Behind every offset. */
const END = Number.MAX_SAFE_INTEGER;

export const TONES: Record<Rollout["status"], Tone> = {
  running: "move",
  baking: "move",
  paused: "warn",
  promoted: "good",
  aborted: "plain",
  "rolled-back": "bad",
  superseded: "plain",
};

export function RolloutPage({ route }: { route: Route }) {
  const name = route.parts[1];
  return name ? <OfModel key={name} name={name} /> : <Moving />;
}

/** Without a model's name: all rollouts that go on. */
function Moving() {
  const moving = [...lines.value.values()].filter((line) => line.rollout_id);
  return (
    <>
      <PageHead title="Rollouts" json="/api/models" cli="hotswap-stream status" />
      <Panel title="What moves">
        {moving.length === 0 ? (
          <Empty run="hotswap-stream rollout start MODEL VERSION --steps 10%,analysis,50%,analysis,100%">No rollout goes on. One is started from a model's page, or so:</Empty>
        ) : (
          <ul class="runs">
            {moving.map((line) => (
              <li key={line.model_name}>
                <a data-row href={link(["rollout", line.model_name])}>
                  {line.model_name}
                </a>{" "}
                {line.reasons.join("; ")}
              </li>
            ))}
          </ul>
        )}
      </Panel>
    </>
  );
}

function OfModel({ name }: { name: string }) {
  const at = modelPath(name);
  const sequence = summaries.value.get(name)?.sequence;
  const now = useAsked<RolloutNow>(`${at}/rollout`, sequence, true);
  const own = useMemo(() => (now.value ? rolloutActions(name, now.value) : []), [now.value]);
  useActions(own);
  const rollout = now.value?.rollout ?? null;
  return (
    <>
      <PageHead title={<><a href={link(["models", name])}>{name}</a> {rollout ? rollout.rollout_id : "rollout"}</>} json={`${at}/rollout${asOf.value === null ? "" : `?as_of_offset=${asOf.value}`}`} cli={`hotswap-stream rollout show ${name}`}>
        <Buttons actions={own} />
        <Barred />
      </PageHead>
      <Shown asked={now} name="the rollout">
        {(known) => (
          <>
            {known.rollout ? <Current name={name} now={known} rollout={known.rollout} /> : <None name={name} />}
            <Former name={name} sequence={sequence} />
          </>
        )}
      </Shown>
    </>
  );
}

function None({ name }: { name: string }) {
  return (
    <Panel>
      <Empty run={`hotswap-stream rollout start ${name} VERSION --steps 10%,analysis,50%,analysis,100%`}>No rollout goes on. Start one from the versions on the model's page, or so:</Empty>
    </Panel>
  );
}

function Current({ name, now, rollout }: { name: string; now: RolloutNow; rollout: Rollout }) {
  const shown = useEvidence(name, rollout);
  const newest = shown.map((one) => one.points.at(-1)).filter((one) => one !== undefined);
  return (
    <>
      <Panel
        title={
          <>
            {rollout.candidates.join(", ")} against {rollout.baseline_version} · <Badge tone={TONES[rollout.status]}>{rollout.status}</Badge>
          </>
        }
        extra={<span class="soft small">{armsText(now.traffic.arms)}</span>}
      >
        <Steps rollout={rollout} />
        <dl class="figures">
          <Figure label="started" value={clock(rollout.started_at)} wide />
          {rollout.pause_cause && <Figure label="waits" value={rollout.pause_cause.replaceAll("-", " ")} tone="warn" wide />}
          <Figure label="metrics" value={rollout.policy.metrics?.map((rule) => rule.metric).join(", ") ?? "–"} wide />
          <Figure label="α" value={rollout.policy.alpha ?? "–"} wide />
          {(rollout.policy.bake_seconds ?? 0) > 0 && <Figure label="bakes" value={span(rollout.policy.bake_seconds ?? 0)} wide />}
        </dl>
        {now.on_success && <p class="small soft">At success: {now.on_success}.</p>}
        {asOf.value === null && <Budget rollout={rollout} newest={newest} />}
      </Panel>
      {shown.length === 0 ? (
        <Panel title="Evidence">
          <Empty>
            {asOf.value === null
              ? "Nothing was measured in this step yet: evidence comes once a second, as soon as answers of both versions are there."
              : "No analysis was recorded up to this moment."}
          </Empty>
        </Panel>
      ) : (
        <div class="metrics">
          {shown.map((one) => (
            <Metric key={one.key} points={one.points} recorded={asOf.value !== null} />
          ))}
        </div>
      )}
      <Decisions name={name} rollout={rollout} sequence={now.sequence} />
    </>
  );
}

interface Shape {
  readonly key: string;
  readonly points: readonly Evidence[];
}

/**
 * The way of each metric, and then what the stream said since the page was opened; failed first. Where the topic of the
 * evidence is not read, and in the past, what was recorded with the analyses.
 */
function useEvidence(name: string, rollout: Rollout): Shape[] {
  const live = asOf.value === null;
  const path = `${modelPath(name)}/rollout/evidence?rollout_id=${encodeURIComponent(rollout.rollout_id)}`;
  const way = useAsked<RolloutShown>(live ? path : null, rollout.rollout_id);
  const known = useMemo(() => (live && way.value?.latest.length ? fromTopic(way.value) : fromAnalyses(name, rollout)), [live, rollout, way.value]);
  const shown = new Map<string, readonly Evidence[]>(known);
  if (live) {
    const start = `${name}/${rollout.rollout_id}/`;
    for (const [key, points] of evidence.value) {
      if (!key.startsWith(start)) continue;
      const before = shown.get(key) ?? [];
      const first = points[0]?.at ?? "";
      shown.set(key, [...before.filter((point) => point.at < first), ...points]);
    }
  }
  return ordered([...shown].map(([key, points]) => ({ key, points })));
}

/** Answers and time that the present analysis may still take; what is spent first ends it. */
function Budget({ rollout, newest }: { rollout: Rollout; newest: readonly Evidence[] }) {
  const last = newest.find((one) => one.budget_used !== undefined) ?? newest[0];
  const secondsMax = last?.seconds_max ?? rollout.policy.seconds_max ?? null;
  const seconds = Math.max(0, (clockNow.value - Date.parse(rollout.phase_started_at)) / 1000);
  const answers = last?.answers ?? 0;
  const answersMax = last?.answers_max ?? rollout.policy.answers_max ?? null;
  return (
    <div class="budgets">
      {secondsMax && rollout.status !== "baking" && <Bar label="time of this step" used={seconds / secondsMax} text={`${span(seconds)} of ${span(secondsMax)}`} />}
      {answersMax && <Bar label="answers of this analysis" used={answers / answersMax} text={`${count(answers)} of ${count(answersMax)}`} />}
      {rollout.status === "baking" && <Bar label="bake" used={seconds / (rollout.policy.bake_seconds || 1)} text={`${span(seconds)} of ${span(rollout.policy.bake_seconds ?? 0)}`} />}
    </div>
  );
}

function Bar({ label, used, text }: { label: string; used: number; text: string }) {
  const share = Math.min(1, Math.max(0, used));
  return (
    <div class="budget">
      <span class="soft">{label}</span>
      <progress max={1} value={share} aria-label={label} />
      <span>
        {percent(share, 0)} <span class="soft">{text}</span>
      </span>
    </div>
  );
}

/** The events of this rollout, the newest first: each leads to the system at that moment. */
function Decisions({ name, rollout, sequence }: { name: string; rollout: Rollout; sequence: number }) {
  const asked = useAsked<{ events: Entry[] }>(`/api/events?before_offset=${END}&limit=60&model_name=${encodeURIComponent(name)}`, sequence);
  return (
    <Panel title="How it came to this">
      <Shown asked={asked} name="the decisions">
        {(page) => {
          const own = page.events.filter(
            (entry) => !entry.void_because && Number(entry.event?.sequence) >= rollout.started_sequence && (asOf.value === null || entry.offset <= asOf.value) && /^hotswap\.(rollout|model\.(promoted|rolled-back))\b/.test(String(entry.event?.type)),
          );
          return (
            <ol class="history two-columns">
              {folded(own.reverse()).map(({ entry, times, why }) => (
                <li key={entry.offset}>
                  <button class="plain" title="View the system here" onClick={() => goTo(entry.offset)}>
                    {entry.offset}
                  </button>
                  <span>
                    {times > 1 && <strong>{times} × </strong>}
                    {entry.described} <span class="soft">by {String(entry.event?.actor)}</span>
                    {why && <span class="soft">: {why}</span>}
                  </span>
                </li>
              ))}
            </ol>
          );
        }}
      </Shown>
    </Panel>
  );
}

/** Rollouts that ended, with what decided them. */
function Former({ name, sequence }: { name: string; sequence: number | undefined }) {
  const asked = useAsked<RolloutList>(`${modelPath(name)}/rollouts`, sequence, true);
  const ended = asked.value?.rollouts.filter((one) => one.ended_at);
  if (ended?.length === 0) return null;
  return (
    <Panel title="Ended before">
      <Shown asked={asked} name="former rollouts">
        {() => (
          <ul class="runs">
            {ended?.map((one) => (
              <Ended key={one.rollout_id} name={name} rollout={one} />
            ))}
          </ul>
        )}
      </Shown>
    </Panel>
  );
}

function Ended({ name, rollout }: { name: string; rollout: Rollout }) {
  const last = rollout.analyses?.at(-1)?.evidence?.[0];
  return (
    <li>
      <strong>{rollout.rollout_id}</strong> <Badge tone={TONES[rollout.status]}>{rollout.status.replace("-", " ")}</Badge> {rollout.candidates.join(", ")} against {rollout.baseline_version}
      {rollout.promoted_version && ` → ${rollout.promoted_version}`} <span class="soft">{clock(rollout.ended_at)}</span>
      {last && (
        <span class="soft">
          {" "}
          · {last.metric} {percent(last.value, 2)} after {count(last.count)} answers
        </span>
      )}{" "}
      <a class="small" href={`api/models/${encodeURIComponent(name)}/rollout/report?rollout_id=${encodeURIComponent(rollout.rollout_id)}`} target="_blank" rel="noreferrer">
        Report
      </a>
    </li>
  );
}

