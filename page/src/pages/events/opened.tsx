/** One event, opened: what was written, what it changed, and how it is chained. */
import { Broken, Loading, useAsked } from "../../frame/asked";
import { Copied, Table } from "../../frame/parts";
import type { Entry, Model } from "../../store/api";
import { modelPath } from "../../store/asking";
import { goTo } from "../../store/route";
import { comparable, differences } from "./found";

export function Opened({ entry }: { entry: Entry }) {
  const event = entry.event as Record<string, unknown> | null | undefined;
  const subject = typeof event?.subject === "string" && !event.subject.startsWith("$") ? event.subject : null;
  return (
    <div class="opened">
      <div class="actions">
        <button type="button" onClick={() => goTo(entry.offset)}>
          View the system here
        </button>
        <Copied text={`hotswap-stream events --from-offset ${entry.offset} --last 1 --json`} label="CLI" />
      </div>
      {entry.void_because && (
        <p class="note warn">
          <strong>It counts for no reader:</strong> {entry.void_because}
        </p>
      )}
      <dl class="facts">
        <Fact name="type" value={event?.type} />
        <Fact name="stream" value={event?.subject} />
        <Fact name="sequence" value={event?.sequence} />
        <Fact name="actor" value={event?.actor} more={event?.actorby ? `known by ${String(event.actorby)}` : ""} />
        <Fact name="reason" value={event?.reason} />
        <Fact name="caused by" value={event?.causationid} />
        <Fact name="chained to" value={event?.previous} more="SHA-256 of the event before it in its stream" />
        <Fact name="written" value={entry.appended_at} />
      </dl>
      {subject && !entry.void_because && <Change model={subject} offset={entry.offset} />}
      <h3>Payload</h3>
      <pre tabIndex={0}>{event ? JSON.stringify(event.data ?? event, null, 2) : (entry.unreadable_text ?? "")}</pre>
    </div>
  );
}

function Fact({ name, value, more }: { name: string; value: unknown; more?: string }) {
  if (value === undefined || value === null || value === "") return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <code>{String(value)}</code> {more && <span class="soft small">{more}</span>}
      </dd>
    </div>
  );
}

/** The model just before and just after. Before its first event there was none. */
function Change({ model, offset }: { model: string; offset: number }) {
  const path = `${modelPath(model)}?as_of_offset=`;
  const before = useAsked<Model>(offset > 0 ? `${path}${offset - 1}` : null);
  const after = useAsked<Model>(`${path}${offset}`);
  const first = offset === 0 || before.refused?.problem.status === 404;
  if (after.refused) return <Broken refused={after.refused} again={after.again} />;
  if (before.refused && !first) return <Broken refused={before.refused} again={before.again} />;
  if (!after.value || (!before.value && !first)) return <Loading name="the states around it" />;
  const found = differences(first ? undefined : comparable(before.value), comparable(after.value));
  return (
    <>
      <h3>State of {model} before and after</h3>
      {first && <p class="soft">It is the first event of {model}.</p>}
      {!first && found.length === 0 && <p class="soft">Nothing of what is shown of the model changed.</p>}
      {!first && found.length > 0 && (
        <Table label="What changed" heads={["field", "before", "after"]}>
          {found.map((one) => (
            <tr key={one.path}>
              <td>
                <code>{one.path}</code>
              </td>
              <td>
                <span class="words">{one.before}</span>
              </td>
              <td>
                <span class="words">{one.after}</span>
              </td>
            </tr>
          ))}
        </Table>
      )}
    </>
  );
}
