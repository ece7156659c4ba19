/** What was beyond its threshold, and what somebody does about it. */
import { Shown, useAsked } from "../../frame/asked";
import { ask, type Action } from "../../frame/actions";
import { span, trimmed } from "../../frame/format";
import { Ago, Badge, Empty, PageHead, Panel, Table } from "../../frame/parts";
import type { Alert, AlertList } from "../../store/api";
import { modelPath } from "../../store/asking";
import { head, summaries } from "../../store/now";
import { asOf, link } from "../../store/route";
import { may } from "../../store/session";

export function Alerts() {
  const moves = [...summaries.value.values()].map((one) => `${one.model_name} ${one.alerts_raised}`).join();
  const asked = useAsked<AlertList>("/api/alerts", `${head.value} ${moves}`);
  return (
    <>
      <PageHead title="Alerts" json="/api/alerts" cli="hotswap-stream alerts list" />
      {!may("operate") && <p class="note">Your key does not have the scope operate: alerts are shown, and acknowledged by others.</p>}
      <Shown asked={asked} name="the alerts">
        {(found) => {
          const raised = found.alerts.filter((alert) => alert.status === "raised");
          const ended = found.alerts.filter((alert) => alert.status === "ended");
          return (
            <>
              <Panel title={raised.length === 1 ? "1 raised" : `${raised.length} raised`}>
                {raised.length ? <Raised alerts={raised} /> : <Empty run="hotswap-stream alert-policy show digits">Nothing is beyond its threshold. What is watched is the alert policy of each model:</Empty>}
              </Panel>
              {ended.length > 0 && (
                <Panel title="Ended">
                  <Ended alerts={ended} />
                </Panel>
              )}
            </>
          );
        }}
      </Shown>
    </>
  );
}

function Severity({ alert }: { alert: Alert }) {
  return <Badge tone={alert.rule.severity === "critical" ? "bad" : "warn"}>{alert.rule.severity}</Badge>;
}

function Raised({ alerts }: { alerts: readonly Alert[] }) {
  return (
    <Table label="Raised alerts" heads={["alert", "model", "what", "since", "care", ""]}>
      {alerts.map((alert) => (
        <tr key={`${alert.model_name} ${alert.rule.name} ${alert.raised_sequence}`}>
          <td class="w">
            <Severity alert={alert} /> {alert.rule.name}
          </td>
          <td class="w">
            <a data-row href={link(["models", alert.model_name])}>
              {alert.model_name}
            </a>{" "}
            {alert.model_version ?? ""}
          </td>
          <td>
            <span class="words">{alert.summary}</span>
          </td>
          <td class="w">
            <Ago at={alert.raised_at} suffix="" />
          </td>
          <td>
            <Care alert={alert} />
          </td>
          <td>
            <div class="actions">
              {actionsOf(alert).map((action) => (
                <button key={action.name} type="button" onClick={() => ask(action)}>
                  {action.verb}
                </button>
              ))}
            </div>
          </td>
        </tr>
      ))}
    </Table>
  );
}

function Care({ alert }: { alert: Alert }) {
  return (
    <>
      {alert.acknowledged && <span>acknowledged by {alert.acknowledged.actor} </span>}
      {alert.snoozed && <span>snoozed by {alert.snoozed.actor}</span>}
      {!alert.acknowledged && !alert.snoozed && <span class="soft">nobody yet</span>}
    </>
  );
}

/** Exported for the tests: what may be done about an alert that is raised. */
export function actionsOf(alert: Alert): Action[] {
  if (asOf.value !== null || !may("operate")) return [];
  const path = `${modelPath(alert.model_name)}/alerts/${encodeURIComponent(alert.rule.name)}`;
  const name = `${alert.rule.name} of ${alert.model_name}`;
  const common = {
    model: alert.model_name,
    sequence: summaries.value.get(alert.model_name)?.sequence ?? 0,
    facts: [
      ["alert", `${alert.rule.name}, ${alert.rule.severity}`],
      ["what", alert.summary],
      ["value", `${trimmed(alert.value, 3)}, ${alert.rule.below === undefined ? "above" : "below"} ${trimmed(alert.rule.below ?? alert.rule.above ?? 0, 3)}`],
    ] as const,
  };
  const made: Action[] = [];
  if (!alert.acknowledged) {
    made.push({
      ...common,
      name: `acknowledge ${path}`,
      verb: "Acknowledge",
      title: `Acknowledge ${name}`,
      path: `${path}/acknowledge`,
      body: () => ({ raised_sequence: alert.raised_sequence }),
      cli: () => `hotswap-stream alerts acknowledge ${alert.model_name} ${alert.rule.name}`,
    });
  }
  made.push({
    ...common,
    name: `snooze ${path}`,
    verb: "Snooze",
    title: `Snooze ${name}`,
    path: `${path}/snooze`,
    fields: [{ name: "minutes", label: "For how many minutes nobody is told", kind: "number", value: 60, min: 1, max: 10_080 }],
    body: (filled) => ({ seconds: Number(filled.minutes) * 60, raised_sequence: alert.raised_sequence }),
    cli: (filled) => `hotswap-stream alerts snooze ${alert.model_name} ${alert.rule.name} --for ${String(filled.minutes)}m`,
  });
  made.push({
    ...common,
    name: `clear ${path}`,
    verb: "Clear",
    title: `Clear ${name}`,
    path: `${path}/clear`,
    fields: [{ name: "minutes", label: "Not raised again for so many minutes", kind: "number", value: 10, min: 0, max: 10_080 }],
    body: (filled) => ({ keep_away_seconds: Number(filled.minutes) * 60, raised_sequence: alert.raised_sequence }),
    cli: (filled) => `hotswap-stream alerts clear ${alert.model_name} ${alert.rule.name} --keep-away ${Number(filled.minutes) * 60}`,
  });
  return made;
}

function Ended({ alerts }: { alerts: readonly Alert[] }) {
  return (
    <Table label="Ended alerts" heads={["alert", "model", "what", "lasted", "ended", "because"]}>
      {alerts.map((alert) => (
        <tr key={`${alert.model_name} ${alert.rule.name} ${alert.raised_sequence}`}>
          <td class="w">{alert.rule.name}</td>
          <td class="w">
            {alert.model_name} {alert.model_version ?? ""}
          </td>
          <td>
            <span class="words">{alert.summary}</span>
          </td>
          <td class="w">{alert.ended_at ? span((Date.parse(alert.ended_at) - Date.parse(alert.raised_at)) / 1000) : "–"}</td>
          <td class="w">
            <Ago at={alert.ended_at} />
          </td>
          <td>{alert.ended_because ?? "–"}</td>
        </tr>
      ))}
    </Table>
  );
}
