/** All models on one page: what hurts first, then what needs you, what moves, what is calm. */
import { useEffect } from "preact/hooks";
import { SPARK_POINTS, Spark } from "../../charts/lines";
import { Buttons, useActions } from "../../frame/actionbar";
import { Broken, Loading, useAsked } from "../../frame/asked";
import { count, ms, percent, rate, weight } from "../../frame/format";
import { Ago, Badge, Copied, Empty, Figure, PageHead, Panel, Table, type Tone, Wide } from "../../frame/parts";
import { publishAction, trainFirst } from "../../frame/steps";
import type { Entry, ModelSummary } from "../../store/api";
import { connection, events, evidence, head, lines, series, summaries, takeEvents, totals } from "../../store/now";
import { asOf, go, goTo, link } from "../../store/route";
import type { Line, Verdict } from "../../stream/messages";
import { named, written } from "../rollout/evidence";

const CARDS_MAX = 12;
const EVENTS_SHOWN = 8;
const CONDITIONS: readonly Line["condition"][] = ["hurts", "needs-you", "moves", "calm"];
const TONES: Record<Line["condition"], Tone> = { hurts: "bad", "needs-you": "warn", moves: "move", calm: "good" };
const WORDS: Record<Line["condition"], string> = { hurts: "hurts", "needs-you": "needs you", moves: "moves", calm: "calm" };

const FIRST = [trainFirst(), publishAction()];

export function Overview() {
  return asOf.value === null ? <Now /> : <Past offset={asOf.value} />;
}

function Now() {
  const all = [...lines.value.values()].sort(
    (one, other) => CONDITIONS.indexOf(one.condition) - CONDITIONS.indexOf(other.condition) || one.model_name.localeCompare(other.model_name),
  );
  const known = totals.value !== null;
  useActions(FIRST);
  return (
    <>
      <PageHead title="Overview" json="/api/overview" cli="hotswap-stream status">
        <Buttons actions={FIRST} />
      </PageHead>
      {known && <Sentence />}
      {!known && (connection.value.state === "broken" ? null : <Loading name="the models" />)}
      {known && all.length === 0 && (
        <Panel>
          <Empty run="hotswap-stream train digits">There is no model yet. This trains one on data that comes along, and puts it into production:</Empty>
        </Panel>
      )}
      {all.length > CARDS_MAX ? <LineTable lines={all} /> : <ul class="cards">{all.map((line) => <Card key={line.model_name} line={line} />)}</ul>}
      <Latest />
    </>
  );
}

/** The whole system in one line. */
function Sentence() {
  const sums = totals.value;
  if (!sums) return null;
  const models = summaries.value.size;
  return (
    <p class="sentence">
      <span>{models === 1 ? "1 model" : `${count(models)} models`}</span>
      <span>{rate(sums.requests_per_second)} answered</span>
      {sums.hurts > 0 && <Badge tone="bad">{sums.hurts === 1 ? "1 hurts" : `${sums.hurts} hurt`}</Badge>}
      {sums.needs_you > 0 && <Badge tone="warn">{sums.needs_you === 1 ? "1 needs you" : `${sums.needs_you} need you`}</Badge>}
      {sums.moves > 0 && <Badge tone="move">{sums.moves === 1 ? "1 moves" : `${sums.moves} move`}</Badge>}
      {sums.hurts + sums.needs_you + sums.moves === 0 && models > 0 && <Badge tone="good">all calm</Badge>}
    </p>
  );
}

function Arms({ line }: { line: Line }) {
  if (line.arms.length === 0) return <span class="soft">nothing in production</span>;
  return (
    <span class="arms">
      {line.arms.map((arm) => (
        <span key={arm.model_version}>
          {arm.model_version} {line.arms.length > 1 && <span class="soft">{weight(arm.weight)}</span>}
        </span>
      ))}
    </span>
  );
}

function rates(line: Line): (number | null)[] {
  const byTime = new Map<number, number>();
  for (const [key, points] of series.value) {
    if (!key.startsWith(`${line.model_name}/`)) continue;
    for (const point of points.slice(-SPARK_POINTS)) byTime.set(point.at, (byTime.get(point.at) ?? 0) + point.rate);
  }
  return [...byTime].sort(([one], [other]) => one - other).map(([, value]) => value);
}

function Card({ line }: { line: Line }) {
  const workers = line.live_workers;
  const silent = line.silent_workers ?? 0;
  return (
    <li class={`card ${TONES[line.condition]}`}>
      <div class="head">
        <a data-row href={link(["models", line.model_name])}>
          {line.model_name}
        </a>
        <Arms line={line} />
        <Badge tone={TONES[line.condition]}>{WORDS[line.condition]}</Badge>
      </div>
      <dl class="figures">
        <Figure label="answers" value={rate(line.requests_per_second)} />
        <Figure label="p95" value={ms(line.p95_ms)} />
        <Figure label="errors" value={percent(line.error_rate)} {...((line.error_rate ?? 0) > 0.01 && { tone: "bad" as const })} />
        <Figure label="workers" value={workers === null || workers === undefined ? "–" : silent ? `${workers}/${workers + silent}` : workers} {...(silent > 0 && { tone: "warn" as const })} />
        <Figure label="waiting" value={count(line.waiting)} />
      </dl>
      <Wide>{(width) => <Spark name={`Answers of ${line.model_name} over the last two minutes`} points={rates(line)} width={width} />}</Wide>
      <div class="foot">
        <Shown line={line} />
        <p class={line.condition === "calm" ? "why soft" : "why"}>
          {line.reasons.length ? line.reasons.join("; ") : "nothing to do"}
          {line.try_next && (
            <>
              {" "}
              <Copied text={line.try_next} label="Copy what to run" />
            </>
          )}
        </p>
      </div>
    </li>
  );
}

/** What the metrics of its rollout say now. */
function Shown({ line }: { line: Line }) {
  if (!line.rollout_id) return null;
  const start = `${line.model_name}/${line.rollout_id}/`;
  const newest = [...evidence.value].filter(([key]) => key.startsWith(start)).map(([, points]) => points.at(-1));
  return (
    <p class="small">
      <a href={link(["rollout", line.model_name])}>
        {line.rollout_id} {line.rollout_status}
      </a>
      {newest.map((one) => {
        if (!one) return null;
        const write = written(one);
        return (
          <span key={one.metric + one.model_version}>
            {" · "}
            {named(one.metric)} {typeof one.lower === "number" && typeof one.upper === "number" && `${write(one.lower)} … ${write(one.upper)} `}
            <span class={TONES_OF[one.verdict]}>{one.verdict}</span>
          </span>
        );
      })}
    </p>
  );
}

const TONES_OF: Record<Verdict, string> = { harmful: "bad", undecided: "soft", "no-data": "soft", passed: "good" };

function LineTable({ lines: shown }: { lines: readonly Line[] }) {
  return (
    <Panel title="Models">
      <Table label="Models" heads={["model", "state", "answers with", "#answers", "#p95", "#errors", "#workers", "why"]}>
        {shown.map((line) => (
          <tr key={line.model_name}>
            <td class="w">
              <a data-row href={link(["models", line.model_name])}>
                {line.model_name}
              </a>
            </td>
            <td>
              <Badge tone={TONES[line.condition]}>{WORDS[line.condition]}</Badge>
            </td>
            <td class="w">
              <Arms line={line} />
            </td>
            <td class="n">{rate(line.requests_per_second)}</td>
            <td class="n">{ms(line.p95_ms)}</td>
            <td class="n">{percent(line.error_rate)}</td>
            <td class="n">{count(line.live_workers)}</td>
            <td>{line.reasons[0] ?? ""}</td>
          </tr>
        ))}
      </Table>
    </Panel>
  );
}

/** The last events; before the stream brought any, they are asked for once. */
function Latest() {
  const asked = useAsked<{ events: Entry[] }>(`/api/events?last=${EVENTS_SHOWN}`);
  useEffect(() => {
    if (asked.value) takeEvents(asked.value.events);
  }, [asked.value]);
  const shown = events.value.slice(-EVENTS_SHOWN).reverse();
  return (
    <Panel title="Last events" extra={<a href={link(["events"])}>All events</a>}>
      {asked.refused && shown.length === 0 && <Broken refused={asked.refused} again={asked.again} />}
      {!asked.value && !asked.refused && shown.length === 0 && <Loading name="the last events" />}
      {asked.value && shown.length === 0 && <Empty>The log is empty.</Empty>}
      {shown.length > 0 && <Entries entries={shown} />}
    </Panel>
  );
}

export function Entries({ entries }: { entries: readonly Entry[] }) {
  return (
    <Table label="Events" heads={["#offset", "when", "what", "who", "why"]} class="entries">
      {entries.map((entry) => (
        <tr key={entry.offset} data-offset={entry.offset} class={entry.void_because ? "void" : ""}>
          <td class="n">
            <button class="plain" title="View the system here" onClick={() => (entry.offset >= (head.value ?? 0) ? go(link([], null)) : goTo(entry.offset))}>
              {entry.offset}
            </button>
          </td>
          <td class="w">
            <Ago at={entry.appended_at} />
          </td>
          <td>
            <span class="words">{entry.described ?? entry.unreadable_text ?? String(entry.event?.type ?? "unreadable")}</span>
            {entry.void_because && (entry.void_kind === "conflict" ? <span class="small"> void: {entry.void_because}</span> : <Badge tone="warn">void: {entry.void_because}</Badge>)}
          </td>
          <td class="w">{String(entry.event?.actor ?? "–")}</td>
          <td>
            <span class="words soft">{String(entry.event?.reason ?? "")}</span>
          </td>
        </tr>
      ))}
    </Table>
  );
}

/** What was known of the models at an offset: what they answered then is not in the log. */
function Past({ offset }: { offset: number }) {
  const asked = useAsked<{ models: ModelSummary[] }>("/api/models?limit=1000", offset, true);
  const page = useAsked<{ events: Entry[] }>(`/api/events?from_offset=${Math.max(0, offset - EVENTS_SHOWN + 1)}&limit=${Math.min(EVENTS_SHOWN, offset + 1)}`);
  return (
    <>
      <PageHead title={`The models at offset ${offset}`} json={`/api/models?as_of_offset=${offset}`} cli={`hotswap-stream audit show --as-of ${offset}`} />
      {asked.refused && <Broken refused={asked.refused} again={asked.again} />}
      {!asked.value && !asked.refused && <Loading name="that moment" />}
      {asked.value && asked.value.models.length === 0 && (
        <Panel>
          <Empty>There was no model yet.</Empty>
        </Panel>
      )}
      {asked.value && asked.value.models.length > 0 && (
        <Panel title="Models">
          <Table label="Models" heads={["model", "in production", "before", "#versions", "#alerts", "#last event"]}>
            {asked.value.models.map((model) => (
              <tr key={model.model_name}>
                <td>
                  <a data-row href={link(["models", model.model_name])}>
                    {model.model_name}
                  </a>
                </td>
                <td>{model.active_version ?? "nothing"}</td>
                <td>{model.former_version ?? "–"}</td>
                <td class="n">{model.versions_total}</td>
                <td class="n">{model.alerts_raised}</td>
                <td class="n">{model.offset}</td>
              </tr>
            ))}
          </Table>
        </Panel>
      )}
      {page.value && <Panel title="Events up to here"><Entries entries={[...page.value.events].reverse()} /></Panel>}
    </>
  );
}
