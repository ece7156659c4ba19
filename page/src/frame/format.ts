/** Figures and times as people read them. What is not known is a dash, never a zero. */

const GROUPED = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const DASH = "–";

export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? DASH : GROUPED.format(value);
}

/** `933/s`, `12.1/s`, `0/s`. */
export function rate(perSecond: number | null | undefined): string {
  if (perSecond === null || perSecond === undefined) return DASH;
  return `${perSecond >= 100 ? GROUPED.format(perSecond) : trimmed(perSecond, perSecond < 1 ? 2 : 1)}/s`;
}

export function ms(value: number | null | undefined): string {
  if (value === null || value === undefined) return DASH;
  if (value >= 10_000) return `${trimmed(value / 1000, 1)} s`;
  return `${value >= 100 ? GROUPED.format(value) : trimmed(value, value >= 10 ? 0 : 1)} ms`;
}

/** A share between 0 and 1. */
export function percent(share: number | null | undefined, digits = 1): string {
  return share === null || share === undefined ? DASH : `${trimmed(share * 100, digits)} %`;
}

/** A weight in 1/10,000, as the API has them. */
export function weight(value: number): string {
  return percent(value / 10_000, 2);
}

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return DASH;
  const steps: readonly [number, string][] = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]];
  for (const [size, unit] of steps) if (value >= size) return `${trimmed(value / size, 1)} ${unit}`;
  return `${value} B`;
}

export function trimmed(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}

/** Four figures, with a sign: of a difference. */
export function signed(value: number, digits = 2): string {
  const text = trimmed(Math.abs(value), digits);
  return Number(text) === 0 ? "0" : `${value < 0 ? "−" : "+"}${text}`;
}

/** How long ago: `4 s`, `12 min`, `3 h`, `9 d`. */
export function ago(then: number, now: number): string {
  return span(Math.max(0, (now - then) / 1000));
}

export function span(seconds: number): string {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** The reader's own time zone, to the second. */
export function clock(iso: string | null | undefined): string {
  if (!iso) return DASH;
  const date = new Date(iso);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** The start of a digest: enough to tell two apart. */
export function short(digest: string | null | undefined): string {
  return digest ? digest.replace(/^sha256:/, "").slice(0, 12) : DASH;
}
