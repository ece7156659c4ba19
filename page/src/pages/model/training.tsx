/** Training runs of one model, the newest first. */
import { Shown, useAsked } from "../../frame/asked";
import { Badge, Empty, Panel, type Tone } from "../../frame/parts";
import type { TrainingRuns } from "../../store/api";
import { modelPath } from "../../store/asking";
import { link } from "../../store/route";

const RUNS_SHOWN = 5;
const TONES: Record<string, Tone> = { failed: "bad", cancelled: "warn", running: "move", claimed: "move", requested: "move", accepted: "move", succeeded: "good" };

export function Training({ name, sequence }: { name: string; sequence: number }) {
  const asked = useAsked<TrainingRuns>(`${modelPath(name)}/training-runs`, sequence);
  return (
    <Panel title="Training" extra={<a href={link(["training", name])}>Runs and triggers</a>}>
      <Shown asked={asked} name="the training runs">
        {(runs) =>
          runs.runs.length === 0 ? (
            <Empty run={`hotswap-stream train ${name}`}>No run was asked for here:</Empty>
          ) : (
            <ul class="runs">
              {runs.runs.slice(0, RUNS_SHOWN).map((run) => (
                <li key={run.run_id}>
                  <Badge tone={TONES[run.status] ?? "plain"}>{run.status}</Badge> <code>{run.run_id}</code> <span class="soft">{run.detail}</span>
                </li>
              ))}
            </ul>
          )
        }
      </Shown>
    </Panel>
  );
}
