/** What may be asked of the system from a page; each is confirmed before it is sent. */
import { signal } from "@preact/signals";

export interface Field {
  readonly name: string;
  readonly label: string;
  readonly kind: "text" | "number" | "choice" | "check" | "percent" | "file";
  readonly value: string | number | boolean;
  readonly choices?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  readonly required?: boolean;
  /** A number that may be left out. */
  readonly optional?: boolean;
  /** Of a file: the ends of names. */
  readonly accept?: string;
}

export type Filled = Readonly<Record<string, string | number | boolean>>;

export interface Action {
  /** Tells it from others on the page. */
  readonly name: string;
  /** On the button: `Roll back`. */
  readonly verb: string;
  /** Of the confirmation: `Roll back digits to v1`. */
  readonly title: string;
  readonly model: string;
  /** Arms, shares, versions: what is, and what will be. */
  readonly facts: readonly (readonly [string, string])[];
  readonly path: string | ((filled: Filled) => string);
  readonly method?: "PUT";
  /** Where the file among the fields goes ahead; what the answer says is then filled in, too. */
  readonly upload?: (filled: Filled) => string;
  readonly fields?: readonly Field[];
  /** What is sent, of what was filled in. */
  readonly body?: (filled: Filled) => Record<string, unknown>;
  /** The sequence of the model that the reader saw; it is sent as `If-Match`. Null: there is none yet. */
  readonly sequence: number | null;
  readonly cli: (filled: Filled) => string;
  readonly key?: string;
  readonly danger?: boolean;
}

/** Those of the page that is shown. */
export const actions = signal<readonly Action[]>([]);
/** The one that waits for a yes. */
export const asking = signal<Action | null>(null);

export function ask(action: Action): void {
  asking.value = action;
}
