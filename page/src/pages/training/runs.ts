/** What is said of a run, from the log's words and the runner's. */
import type { Tone } from "../../frame/parts";
import type { TrainingRun } from "../../store/api";

/** What a runner says of a run while it goes on; as on the topic `hotswap.training-progress`. */
export interface Progress {
  readonly run_id: string;
  readonly at?: string;
  readonly phase?: string;
  readonly epoch?: number | null;
  readonly epochs?: number | null;
  readonly step?: number | null;
  readonly steps?: number | null;
  readonly figures?: Readonly<Record<string, number>>;
  readonly said?: string | null;
}

export const TONES: Record<TrainingRun["status"], Tone> = {
  requested: "plain",
  claimed: "move",
  running: "move",
  succeeded: "good",
  failed: "bad",
  cancelled: "plain",
};

export function isOpen(run: TrainingRun): boolean {
  return run.status === "requested" || run.status === "claimed" || run.status === "running";
}

/** Between 0 and 1; null where the runner does not say how long it takes. */
export function share(progress: Progress): number | null {
  const parts = (done?: number | null, all?: number | null): number | null => (done !== null && done !== undefined && all ? Math.min(1, Math.max(0, done / all)) : null);
  const epochs = parts(progress.epoch, progress.epochs);
  const steps = parts(progress.step, progress.steps);
  return epochs ?? steps;
}

/** `training, epoch 3 of 12, loss 0.41`. */
export function wordsOf(progress: Progress): string {
  const words = [progress.phase ?? "running"];
  if (progress.epochs) words.push(`epoch ${progress.epoch ?? 0} of ${progress.epochs}`);
  else if (progress.steps) words.push(`step ${progress.step ?? 0} of ${progress.steps}`);
  for (const [name, value] of Object.entries(progress.figures ?? {}).slice(0, 3)) words.push(`${name} ${Number(value.toPrecision(4))}`);
  if (progress.said) words.push(progress.said);
  return words.join(", ");
}

/** Who wanted it, and why. */
export function causeOf(run: TrainingRun): string {
  const cause = run.cause;
  switch (cause?.kind) {
    case "trigger": {
      const figures = Object.entries(cause.figures ?? {}).map(([name, value]) => `${name} ${value}`);
      return [`trigger ${cause.trigger}`, ...figures].join(", ");
    }
    case "again":
      return `again after ${cause.run_id}, attempt ${cause.attempt}`;
    case "repeat":
      return `the same as ${cause.run_id}`;
    default:
      return run.requested_by ? `by ${run.requested_by}` : "by hand";
  }
}
