/** The model that the reader is at, or was at last. */
import { lines } from "./now";
import { route } from "./route";

let last: string | null = null;

export function currentModel(): string | null {
  const { parts } = route.value;
  if ((parts[0] === "models" || parts[0] === "rollout") && parts[1]) last = parts[1];
  return last ?? [...lines.value.values()].find((line) => line.rollout_id)?.model_name ?? null;
}
