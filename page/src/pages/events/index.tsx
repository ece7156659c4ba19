/** The log: who did what, when and why; the last hundred first, and back to the beginning. */
import { useSignal } from "@preact/signals";
import { Fragment } from "preact";
import { Shown, useAsked } from "../../frame/asked";
import { Ago, Badge, Empty, PageHead, Panel, Table } from "../../frame/parts";
import type { Entry } from "../../store/api";
import { EVENTS_KEPT_MAX, events, summaries } from "../../store/now";
import { asOf, go, link, type Route } from "../../store/route";
import { FILTERS, filtersOf, folded, matches, offsetIn, pathOf, type Filters } from "./found";
import { Opened } from "./opened";

interface Found {
  readonly events: readonly Entry[];
  readonly first_offset: number;
  readonly next_offset: number;
  readonly end_offset: number;
}

const NAMES: Record<keyof Filters, string> = { model: "Model", type: "Type", actor: "Actor", text: "Words", void: "Void" };

export function Events({ route }: { route: Route }) {
  const filters = filtersOf(route.query);
  const path = pathOf(filters, route.query, asOf.value);
  const asked = useAsked<Found>(path);
  const newest = offsetIn(route.query, "from") === null && offsetIn(route.query, "before") === null && asOf.value === null;
  const moment = asOf.value === null ? "" : ` up to offset ${asOf.value}`;
  return (
    <>
      <PageHead title={`Events${moment}`} json={path} cli={cliOf(filters)} />
      <Filter filters={filters} />
      <Shown asked={asked} name="the events">
        {(found) => (
          <Panel
            title={found.events.length ? `${found.events.length} of ${found.end_offset} records` : "No events"}
            extra={<Pages found={found} filters={filters} newest={newest} />}
          >
            {newest && <Waiting found={found} filters={filters} again={asked.again} />}
            {found.events.length ? <Rows entries={[...found.events].reverse()} /> : <Nothing found={found} filters={filters} />}
          </Panel>
        )}
      </Shown>
    </>
  );
}

function cliOf(filters: Filters): string {
  const words = ["hotswap-stream", "events", "--last", "100"];
  if (filters.model) words.push("--model", filters.model);
  if (filters.type) words.push("--type", filters.type);
  return words.join(" ");
}

/** The same page with other filters: from its end again. */
function filtered(filters: Filters, more: Record<string, string> = {}): string {
  const query: Record<string, string> = {};
  for (const name of FILTERS) if (filters[name]) query[name] = filters[name];
  return link(["events"], asOf.value, { ...query, ...more });
}

function Filter({ filters }: { filters: Filters }) {
  const set = (name: keyof Filters, value: string): void => go(filtered({ ...filters, [name]: value.trim() }));
  const field = (name: "type" | "actor" | "text", more: Record<string, unknown> = {}) => (
    <label class="field">
      <span>{NAMES[name]}</span>
      <input type="search" value={filters[name]} maxLength={200} autocomplete="off" spellcheck={false} onChange={(event) => set(name, event.currentTarget.value)} {...more} />
    </label>
  );
  const models = [...new Set([...summaries.value.keys(), ...(filters.model ? [filters.model] : [])])].sort();
  return (
    <form class="filter" role="search" aria-label="Filter events" onSubmit={(event) => event.preventDefault()}>
      {field("text", { "data-filter": true, placeholder: "anywhere in the event" })}
      <label class="field">
        <span>Model</span>
        <select value={filters.model} onChange={(event) => set("model", event.currentTarget.value)}>
          <option value="">all</option>
          {models.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
      {field("type", { placeholder: "promoted" })}
      {field("actor")}
      <label class="field">
        <span>Void</span>
        <select value={filters.void} onChange={(event) => set("void", event.currentTarget.value)}>
          <option value="">with</option>
          <option value="without">without</option>
          <option value="only">only</option>
        </select>
      </label>
      {FILTERS.some((name) => filters[name]) && (
        <button type="button" onClick={() => go(link(["events"]))}>
          Show all
        </button>
      )}
    </form>
  );
}

function Pages({ found, filters, newest }: { found: Found; filters: Filters; newest: boolean }) {
  return (
    <nav class="actions" aria-label="Pages of the log">
      {found.first_offset > 0 && <a href={filtered(filters, { before: String(found.first_offset) })}>Older</a>}
      {!newest && found.next_offset < found.end_offset && <a href={filtered(filters, { from: String(found.next_offset) })}>Newer</a>}
      {!newest && <a href={filtered(filters)}>Newest</a>}
    </nav>
  );
}

/** Rows that came meanwhile wait: nobody reads a table that moves. */
function Waiting({ found, filters, again }: { found: Found; filters: Filters; again: () => void }) {
  const waiting = events.value.filter((entry) => entry.offset >= found.end_offset && matches(entry, filters)).length;
  return (
    <div class="waiting" role="status">
      {waiting > 0 && (
        <button type="button" onClick={again}>
          {waiting}
          {waiting >= EVENTS_KEPT_MAX ? "+" : ""} new
        </button>
      )}
    </div>
  );
}

function Nothing({ found, filters }: { found: Found; filters: Filters }) {
  const looked = FILTERS.some((name) => filters[name]);
  if (!looked) return <Empty run="hotswap-stream train digits">The log has no event yet. This makes the first ones:</Empty>;
  return <Empty>{found.first_offset > 0 ? `None from offset ${found.first_offset} on. Older ones may be: go on looking.` : "No event is like this."}</Empty>;
}

function Rows({ entries }: { entries: readonly Entry[] }) {
  const unfolded = useSignal<ReadonlySet<number>>(new Set());
  const open = useSignal<number | null>(null);
  return (
    <Table label="Events" heads={["#offset", "when", "what", "who", "why"]} class="entries log">
      {folded(entries, unfolded.value).map((line) =>
        line.kind === "folded" ? (
          <Folded key={`f${line.entries[0]?.offset}`} entries={line.entries} unfold={(offset) => (unfolded.value = new Set([...unfolded.value, offset]))} />
        ) : (
          <Row key={line.entry.offset} entry={line.entry} open={open.value === line.entry.offset} turn={() => (open.value = open.value === line.entry.offset ? null : line.entry.offset)} />
        ),
      )}
    </Table>
  );
}

function Folded({ entries, unfold }: { entries: readonly Entry[]; unfold: (offset: number) => void }) {
  const newest = entries[0];
  const oldest = entries.at(-1);
  if (!newest || !oldest) return null;
  return (
    <tr class="folded">
      <td class="n">
        {oldest.offset}–{newest.offset}
      </td>
      <td class="w">
        <Ago at={newest.appended_at} />
      </td>
      <td colSpan={3}>
        <button type="button" class="plain" data-row aria-expanded="false" onClick={() => unfold(newest.offset)}>
          <span aria-hidden="true">▸</span> {entries.length} × analysis of {String(newest.event?.subject ?? "")}, nothing decided
        </button>
      </td>
    </tr>
  );
}

function Row({ entry, open, turn }: { entry: Entry; open: boolean; turn: () => void }) {
  const what = entry.described ?? entry.unreadable_text ?? String(entry.event?.type ?? "unreadable");
  return (
    <Fragment>
      <tr class={entry.void_because ? "void" : ""} data-offset={entry.offset}>
        <td class="n">{entry.offset}</td>
        <td class="w">
          <Ago at={entry.appended_at} />
        </td>
        <td>
          <button type="button" class="plain words" data-row aria-expanded={open} onClick={turn}>
            <span aria-hidden="true">{open ? "▾" : "▸"}</span> {what || "an empty record"}
          </button>
          {entry.void_because && <Badge tone="warn">void</Badge>}
        </td>
        <td class="w">{String(entry.event?.actor ?? "–")}</td>
        <td>
          <span class="words soft">{String(entry.event?.reason ?? "")}</span>
        </td>
      </tr>
      {open && (
        <tr class="detail">
          <td colSpan={5}>
            <Opened entry={entry} />
          </td>
        </tr>
      )}
    </Fragment>
  );
}
